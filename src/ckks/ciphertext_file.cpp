#include "ckks/ciphertext_file.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/hex.h"
#include "base/parallel.h"
#include "ckks/parameters.h"
#include "wire/fields.h"
#include "wire/pack.h"

namespace sotto::ckks {

Ciphertext expand(const ring::Ring& ring, SeededCiphertext c) {
  Ciphertext out;
  out.scale = c.scale;
  out.c0 = std::move(c.c0);
  const Level level = level_of(out.c0);
  out.c1 = make_poly(ring, level);
  parallel_for_limbs(level, [&](std::size_t l) { expand_uniform(ring, c.seed, c.stream, l, out.c1[l].data()); });
  return out;
}

std::uint64_t ciphertext_bytes(wire::Kind kind, std::size_t n, int prime_bits, const Level& level, bool seeded) {
  const bool both = kind == wire::Kind::output || !seeded;
  return static_cast<std::uint64_t>(level.count()) * n * wire::word_bytes(prime_bits) * (both ? 2 : 1);
}

namespace {

nlohmann::json to_json(const CiphertextShape& s) {
  return {{"limbs", s.level.limbs}, {"absent", s.level.absent}, {"scale", s.scale}};
}

nlohmann::json to_json(const std::vector<CiphertextShape>& shapes) {
  nlohmann::json list = nlohmann::json::array();
  for (const CiphertextShape& s : shapes) list.push_back(to_json(s));
  return list;
}

nlohmann::json header(wire::Kind kind, const CiphertextFileInfo& info) {
  nlohmann::json h = {
      {"plan_id", info.plan_id}, {"key_id", info.key_id}, {"input_id", info.input_id},
      {"images", info.images},   {"batch", info.batch},   {"per_batch", info.per_batch},
  };
  h.update(to_json(CiphertextShape{info.level, info.scale}));
  if (kind == wire::Kind::input) {
    h["seed"] = info.seed ? nlohmann::json(to_hex(*info.seed)) : nlohmann::json();
  } else {
    h["input_digest"] = to_hex(info.input_digest);
    h["input_signer"] = info.input_signer ? nlohmann::json(signing::to_text(*info.input_signer)) : nlohmann::json();
  }
  if (kind == wire::Kind::output || !info.probes.empty()) h["probes"] = to_json(info.probes);
  if (info.leads > 0) {
    h["lead"] = to_json(info.lead);
    h["leads"] = info.leads;
  }
  return h;
}

std::vector<std::uint64_t> section_sizes(wire::Kind kind, const ring::Ring& ring, const CiphertextFileInfo& info) {
  std::vector<std::uint64_t> sizes(info.sections());
  for (std::size_t k = 0; k < sizes.size(); ++k)
    sizes[k] = ciphertext_bytes(kind, ring.n(), ring.prime_bits(), info.shape(k).level, info.seed.has_value());
  return sizes;
}

bool same_scale(double a, double b) { return std::abs(a / b - 1) < 0x1p-40; }

bool same_shapes(std::span<const CiphertextShape> a, std::span<const CiphertextShape> b) {
  return std::ranges::equal(a, b, [](const CiphertextShape& x, const CiphertextShape& y) {
    return x.level == y.level && same_scale(x.scale, y.scale);
  });
}

CiphertextShape shape_from_json(const nlohmann::json& j) {
  CiphertextShape shape{wire::small_integer(j, "limbs", 1, 64), wire::real(j, "scale")};
  shape.level.absent = wire::small_integer(j, "absent", 0, std::min(kMostSmallPrimes, shape.level.limbs - 1));
  if (!(shape.scale > 0x1p-400)) wire::bad_field("scale");
  return shape;
}

std::vector<CiphertextShape> shapes_from_json(const nlohmann::json& header, const char* name) {
  std::vector<CiphertextShape> shapes;
  for (const auto& s : wire::list(header, name, 4096)) shapes.push_back(shape_from_json(s));
  return shapes;
}

}  // namespace

CiphertextWriter::CiphertextWriter(const Sink& sink, wire::Kind kind, const ring::Ring& ring,
                                   const CiphertextFileInfo& info, bool resumable, const signing::SigningKey* signer)
    : ring_(ring),
      info_(info),
      file_(sink, kind, header(kind, info), section_sizes(kind, ring, info), wire::Access::everyone,
            resumable ? wire::Units{info.sections_per_batch(), info.lead_sections(),
                                    std::max<std::size_t>(info.lead.size(), 1)}
                      : wire::Units{},
            signer) {}

void CiphertextWriter::write(const ring::RnsPoly& poly) {
  const std::size_t width = wire::word_bytes(ring_.prime_bits()), limb_bytes = ring_.n() * width;
  const Level level = level_of(poly);
  std::vector<unsigned char> bytes(static_cast<std::size_t>(level.count()) * limb_bytes);
  parallel_for_limbs(level, [&](std::size_t l) {
    wire::pack_words(bytes.data() + (l - static_cast<std::size_t>(level.absent)) * limb_bytes, poly[l].data(),
                     ring_.n(), width);
  });
  file_.write(bytes);
}

void CiphertextWriter::write(const SeededCiphertext& c) { write(c.c0); }

void CiphertextWriter::write(const Ciphertext& c) {
  write(c.c0);
  write(c.c1);
}

CiphertextReader::CiphertextReader(const Source& source, wire::Kind kind) : kind_(kind), file_(source, kind) {
  file_.decode([&](const auto& h) {
    constexpr std::int64_t kMost = std::int64_t{1} << 40;
    info_.plan_id = wire::text(h, "plan_id", 64);
    info_.key_id = wire::text(h, "key_id", 64);
    info_.input_id = wire::text(h, "input_id", 64);
    info_.images = static_cast<std::uint64_t>(wire::integer(h, "images", 1, kMost));
    info_.batch = static_cast<std::uint64_t>(wire::integer(h, "batch", 1, 1 << 17));
    info_.per_batch = static_cast<std::uint64_t>(wire::integer(h, "per_batch", 1, 1 << 24));
    const CiphertextShape shape = shape_from_json(h);
    info_.level = shape.level;
    info_.scale = shape.scale;
    if (kind_ == wire::Kind::input) {
      if (!wire::field(h, "seed").is_null()) {
        Seed& seed = info_.seed.emplace();
        std::ranges::copy(wire::hex_bytes(h, "seed", seed.size()), seed.begin());
      }
    } else {
      std::ranges::copy(wire::hex_bytes(h, "input_digest", info_.input_digest.size()), info_.input_digest.begin());
      if (!wire::field(h, "input_signer").is_null())
        std::ranges::copy(wire::hex_bytes(h, "input_signer", info_.input_signer.emplace().size()),
                          info_.input_signer->begin());
    }
    if (kind_ == wire::Kind::output || h.contains("probes")) info_.probes = shapes_from_json(h, "probes");
    if (h.contains("lead")) {
      info_.lead = shapes_from_json(h, "lead");
      if (info_.lead.empty()) wire::bad_field("lead");
      info_.leads = static_cast<std::uint64_t>(wire::integer(h, "leads", 1, 1 << 24));
    }
    if (info_.batches() > file_.sections() || file_.sections() != info_.sections())
      file_.fail("it does not hold the ciphertexts that it announces");
  });
  file_.name_sections(
      [per_batch = info_.sections_per_batch(), batches = info_.batches(), lead = info_.lead_sections()](std::size_t k) {
        if (k < lead) return "ciphertext " + std::to_string(k) + " of the features";
        const std::string within = "ciphertext " + std::to_string((k - lead) % per_batch);
        return batches == 1 ? within : within + " of batch " + std::to_string((k - lead) / per_batch);
      });
}

void CiphertextReader::expect(const std::string& plan_id, std::uint64_t batch, std::uint64_t per_batch,
                              const Level& level, double scale, const ring::Ring& ring,
                              std::span<const CiphertextShape> probes, std::span<const CiphertextShape> lead) const {
  if (info_.plan_id != plan_id)
    throw Error(ErrorCode::wrong_key,
                file_.name() + " was made for another plan (" + info_.plan_id + ", not " + plan_id + ")");
  bool fits = info_.batch == batch && info_.per_batch == per_batch && info_.level == level &&
              same_scale(info_.scale, scale) && same_shapes(info_.probes, probes) && same_shapes(info_.lead, lead);
  for (std::size_t i = 0; i < file_.sections(); ++i)
    fits = fits && file_.section_bytes(i) == ciphertext_bytes(kind_, ring.n(), ring.prime_bits(), info_.shape(i).level,
                                                              info_.seed.has_value());
  if (!fits) file_.fail("its ciphertexts do not have the plan's shape");
}

namespace {

// From the bytes of its section; nothing if a word is no residue.
std::optional<Ciphertext> ciphertext_of(const ring::Ring& ring, std::span<const unsigned char> bytes,
                                        const CiphertextShape& shape, const std::optional<Seed>& seed,
                                        std::uint64_t stream) {
  const std::size_t n = ring.n(), width = wire::word_bytes(ring.prime_bits()), limb_bytes = n * width;
  Ciphertext c;
  c.scale = shape.scale;
  c.c0 = make_poly(ring, shape.level);
  c.c1 = make_poly(ring, shape.level);
  const auto limbs = static_cast<std::size_t>(shape.level.count()),
             absent = static_cast<std::size_t>(shape.level.absent);
  std::atomic<bool> valid{true};
  parallel_for_limbs(shape.level, [&](std::size_t l) {
    const unsigned char* from = bytes.data() + (l - absent) * limb_bytes;
    bool ok = wire::unpack_words(c.c0[l].data(), from, n, width, ring.prime(l));
    if (seed)
      expand_uniform(ring, *seed, stream, l, c.c1[l].data());
    else
      ok = wire::unpack_words(c.c1[l].data(), from + limbs * limb_bytes, n, width, ring.prime(l)) && ok;
    if (!ok) valid = false;
  });
  if (!valid) return std::nullopt;
  return c;
}

}  // namespace

Ciphertext CiphertextReader::read(const ring::Ring& ring, std::uint64_t k) const {
  std::vector<unsigned char> bytes(file_.section_bytes(k));
  file_.read(k, bytes);
  std::optional<Ciphertext> c = ciphertext_of(ring, bytes, info_.shape(k), info_.seed, k);
  if (!c) file_.fail("a ciphertext has a value out of range");
  return std::move(*c);
}

Ciphertext CiphertextWriter::read_back(std::uint64_t k) const {
  std::vector<unsigned char> bytes(file_.section_bytes(k));
  file_.read_back(k, bytes);
  std::optional<Ciphertext> c = ciphertext_of(ring_, bytes, info_.shape(k), std::nullopt, k);
  if (!c) throw Error(ErrorCode::bad_input, "a ciphertext of an earlier run has a value out of range");
  return std::move(*c);
}

}  // namespace sotto::ckks
