#include "ckks/key_file.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/ring_field.h"
#include "wire/fields.h"
#include "wire/pack.h"

namespace sotto::ckks {

namespace {

constexpr std::size_t kMostRings = 16;
constexpr std::size_t kMostKeys = 65536;  // of a ring

std::uint64_t word_bytes_of(const ParametersSpec& ring) {
  return (std::uint64_t{1} << ring.log_n) * wire::word_bytes(ring.prime_bits);
}

nlohmann::json header_of(const KeyList& list, const std::string& key_id) {
  auto rings = nlohmann::json::array();
  for (const RingKeys& r : list.rings()) {
    auto keys = nlohmann::json::array();
    for (const KeyShape& k : r.keys) keys.push_back({k.tier.max_limbs, k.tier.special, k.galois_element});
    rings.push_back({{"log_n", r.ring.log_n},
                     {"ring", ring::name_of(r.ring.kind)},
                     {"prime_bits", r.ring.prime_bits},
                     {"small_primes", r.ring.small_primes},
                     {"keys", std::move(keys)}});
    add_security_level(rings.back(), r.ring.security);
  }
  return {{"key_id", key_id}, {"rings", std::move(rings)}};
}

std::vector<std::uint64_t> sections_of(std::span<const RingKeys> rings) {
  std::vector<std::uint64_t> bytes;
  for (const RingKeys& r : rings)
    for (const KeyShape& k : r.keys) bytes.push_back(key_bytes(r.ring, k));
  return bytes;
}

// A limb as the file has it, in its packed form; also its words. False if one is not below the prime.
bool read_limb(const ring::Ring& ring, std::size_t i, std::span<const unsigned char> bytes, std::uint64_t* words,
               ring::PackedLimb& packed) {
  const std::size_t n = ring.n(), width = bytes.size() / n;
  if (width != simd::kPackedBytes) {
    const bool valid = wire::unpack_words(words, bytes.data(), n, width, ring.prime(i));
    packed = ring.pack(words);
    return valid;
  }
  // The file has packed words already.
  packed = ring.packed_limb();
  std::ranges::copy(bytes, packed.data());
  ring.kernels().unpack(words, bytes.data(), n);
  const std::uint64_t q = ring.prime(i);
  std::uint64_t below = ~std::uint64_t{0};  // its top bit: no difference has been nonnegative
  for (std::size_t k = 0; k < n; ++k) below &= words[k] - q;
  return below >> 63 != 0;
}

KeyShape shape_of(const nlohmann::json& j) {
  if (!j.is_array() || j.size() != 3) wire::bad_field("keys");
  for (const auto& v : j)
    if (!v.is_number_unsigned()) wire::bad_field("keys");
  const auto limbs = j[0].get<std::uint64_t>(), special = j[1].get<std::uint64_t>(),
             element = j[2].get<std::uint64_t>();
  if (limbs < 1 || limbs > 64 || special < 1 || special > kMostSpecialPrimes) wire::bad_field("keys");
  const KeyTier tier{static_cast<int>(limbs), static_cast<int>(special), element == kToEphemeral};
  if (tier.digits() > 8 && element != kFromEphemeral) wire::bad_field("keys");
  return {tier, element};
}

RingKeys ring_of(const nlohmann::json& j) {
  RingKeys out{{.log_n = wire::small_integer(j, "log_n", 6, 17),
                .kind = ring_kind(j),
                .prime_bits = wire::small_integer(j, "prime_bits", 30, 48),
                .security = security_level(j),
                .small_primes = wire::small_integer(j, "small_primes", 0, kMostSmallPrimes)},
               {}};
  for (const auto& k : wire::list(j, "keys", kMostKeys)) out.keys.push_back(shape_of(k));
  return out;
}

}  // namespace

std::uint64_t key_bytes(const ParametersSpec& ring, const KeyShape& key) {
  return sizeof(Seed) +
         static_cast<std::uint64_t>(key_digits(key.tier, key.galois_element) * key.limbs()) * word_bytes_of(ring);
}

SwitchingKey expand(const ring::Ring& ring, int ciphertext_primes, SeededSwitchingKey key) {
  SwitchingKey out{key.shape.tier, {}};
  const auto limbs = static_cast<std::size_t>(out.limbs());
  for (std::size_t d = 0; d < key.b.size(); ++d)
    out.digits.push_back({ring::PackedPoly(limbs), ring::PackedPoly(limbs)});
  parallel_for(out.digits.size() * limbs, [&](std::size_t k) {
    const std::size_t d = k / limbs, j = k % limbs;
    ring::Limb& words = key.b[d][j];
    out.digits[d].b[j] = ring.pack(words.data());
    expand_uniform(ring, key.seed, d, out.prime_index(static_cast<int>(j), ciphertext_primes), words.data());
    out.digits[d].a[j] = ring.pack(words.data());
    words.reset();
  });
  return out;
}

KeyFileWriter::KeyFileWriter(const Sink& sink, const KeyList& list, const signing::SigningKey& owner)
    : file_(sink, wire::Kind::eval_key, header_of(list, signing::identity_of(owner.verification_key())),
            sections_of(list.rings()), wire::Access::everyone, {}, &owner) {}

void KeyFileWriter::write(const ring::Ring& ring, const SeededSwitchingKey& key) {
  file_.write(key.seed);
  const std::size_t width = wire::word_bytes(ring.prime_bits());
  std::vector<unsigned char> bytes(ring.n() * width);
  for (const ring::RnsPoly& digit : key.b) {
    for (const ring::Limb& limb : digit) {
      wire::pack_words(bytes.data(), limb.data(), ring.n(), width);
      file_.write(bytes);
    }
  }
}

KeyFileContents::KeyFileContents(const wire::FileReader& file) {
  file.decode([&](const auto& h) {
    key_id = wire::text(h, "key_id", 64);
    for (const auto& r : wire::list(h, "rings", kMostRings)) rings.push_back(ring_of(r));
    const std::vector<std::uint64_t> expected = sections_of(rings);
    bool same = file.sections() == expected.size();
    for (std::size_t i = 0; same && i < expected.size(); ++i) same = file.section_bytes(i) == expected[i];
    if (!same) file.fail("it does not hold the keys that it announces");
    wire::require_owner(file, key_id);
  });
}

bool KeyFileContents::serves(const ParametersSpec& ring, const KeyRequest& request) const {
  return std::ranges::all_of(shapes_of(request),
                             [&](const KeyShape& k) { return find_key(rings, ring, k).has_value(); });
}

KeyFile::KeyFile(const Source& source, std::shared_ptr<const ring::Ring> ring, const ParametersSpec& parameters,
                 const KeyRequest& request)
    : source_(source),
      ring_(std::move(ring)),
      ciphertext_primes_(parameters.ciphertext_primes),
      tiers_(request.tiers),
      file_(source, wire::Kind::eval_key),
      contents_(file_) {
  for (const KeyId& id : request.keys) {
    const auto found =
        find_key(contents_.rings, parameters, {tiers_.at(static_cast<std::size_t>(id.tier)), id.galois_element});
    if (!found)
      throw Error(ErrorCode::wrong_key,
                  source.name() + " lacks keys of this plan; make keys with the plan's client file");
    stored_.emplace(id, *found);
  }
}

const SwitchingKey& KeyFile::key(const KeyId& id) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto it = loaded_.find(id); it != loaded_.end()) return it->second;
  }
  SwitchingKey key = load(id);
  const std::scoped_lock lock(mutex_);
  return loaded_.try_emplace(id, std::move(key)).first->second;
}

void KeyFile::prepare(std::span<const KeyId> ids) {
  std::vector<KeyId> missing;
  {
    const std::scoped_lock lock(mutex_);
    for (const KeyId& id : ids)
      if (!loaded_.contains(id)) missing.push_back(id);
  }
  parallel_for(missing.size(), [&](std::size_t k) { key(missing[k]); });
}

SwitchingKey KeyFile::load(const KeyId& id) const {
  const auto at = stored_.find(id);
  if (at == stored_.end()) throw Error(ErrorCode::wrong_key, file_.name() + " lacks a key that the plan needs");
  const std::size_t section = at->second.index;  // sections have the order of the list
  const KeyShape& stored = at->second.shape;
  const KeyTier& tier = tiers_[static_cast<std::size_t>(id.tier)];
  const auto stored_limbs = static_cast<std::size_t>(stored.limbs()),
             stored_digits = static_cast<std::size_t>(key_digits(stored.tier, id.galois_element));
  const std::size_t n = ring_->n(), width = wire::word_bytes(ring_->prime_bits());
  SwitchingKey out{tier, {}};
  const auto limbs = static_cast<std::size_t>(out.limbs());
  out.digits.resize(static_cast<std::size_t>(key_digits(tier, id.galois_element)));
  for (auto& d : out.digits) d = {ring::PackedPoly(limbs), ring::PackedPoly(limbs)};
  // The seed, then limb by limb: what is read is at once in its final form. A longer key is read over.
  std::vector<std::size_t> pieces(1 + stored_digits * stored_limbs, n * width);
  Seed seed;
  pieces[0] = seed.size();
  ring::Limb words = ring_->limb();
  bool valid = true;
  file_.stream(section, pieces, [&](std::size_t k, std::span<const unsigned char> bytes) {
    if (k == 0) {
      std::copy(bytes.begin(), bytes.end(), seed.begin());
      return;
    }
    const std::size_t d = (k - 1) / stored_limbs;
    auto j = static_cast<int>((k - 1) % stored_limbs);
    if (j >= stored.tier.max_limbs)
      j -= stored.tier.max_limbs - tier.max_limbs;
    else if (j >= tier.max_limbs)
      return;
    if (d >= out.digits.size()) return;
    const std::size_t i = out.prime_index(j, ciphertext_primes_);
    valid = read_limb(*ring_, i, bytes, words.data(), out.digits[d].b[static_cast<std::size_t>(j)]) && valid;
    expand_uniform(*ring_, seed, d, i, words.data());
    out.digits[d].a[static_cast<std::size_t>(j)] = ring_->pack(words.data());
  });
  if (!valid) file_.fail("a key has a value out of range");
  return out;
}

void KeyFile::drop(const KeyId& id) {
  const std::scoped_lock lock(mutex_);
  loaded_.erase(id);
}

}  // namespace sotto::ckks
