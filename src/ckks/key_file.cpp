#include "ckks/key_file.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "base/parallel.h"
#include "wire/fields.h"
#include "wire/pack.h"

namespace sotto::ckks {

std::vector<std::uint64_t> key_section_bytes(std::size_t n, int prime_bits, const KeyRequest& request) {
  std::vector<std::uint64_t> bytes;
  for (const KeyId& id : request.keys) {
    const KeyTier& t = request.tiers[static_cast<std::size_t>(id.tier)];
    const auto limbs = static_cast<std::uint64_t>(key_digits(t, id.galois_element)) *
                       static_cast<std::uint64_t>(t.max_limbs + t.special);
    bytes.push_back(sizeof(Seed) + limbs * n * wire::word_bytes(prime_bits));
  }
  return bytes;
}

SwitchingKey expand(const ring::Ring& ring, const KeyTier& tier, int ciphertext_primes, SeededSwitchingKey key) {
  SwitchingKey out{tier, {}};
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

KeyFileWriter::KeyFileWriter(const Sink& sink, const ring::Ring& ring, const ParametersSpec& parameters,
                             const KeyRequest& request, const std::string& plan_id, const std::string& key_id)
    : ring_(ring),
      file_(sink, wire::Kind::eval_key,
            {{"plan_id", plan_id},
             {"key_id", key_id},
             {"log_n", parameters.log_n},
             {"ciphertext_primes", parameters.ciphertext_primes},
             {"special_primes", parameters.special_primes}},
            key_section_bytes(ring.n(), ring.prime_bits(), request)) {}

void KeyFileWriter::write(const SeededSwitchingKey& key) {
  file_.write(key.seed);
  const std::size_t width = wire::word_bytes(ring_.prime_bits());
  std::vector<unsigned char> bytes(ring_.n() * width);
  for (const ring::RnsPoly& digit : key.b) {
    for (const ring::Limb& limb : digit) {
      wire::pack_words(bytes.data(), limb.data(), ring_.n(), width);
      file_.write(bytes);
    }
  }
}

KeyFile::KeyFile(const Source& source, std::shared_ptr<const ring::Ring> ring, const ParametersSpec& parameters,
                 const KeyRequest& request, const std::string& plan_id)
    : ring_(std::move(ring)),
      ciphertext_primes_(parameters.ciphertext_primes),
      request_(request),
      file_(source, wire::Kind::eval_key) {
  file_.decode([&](const auto& h) {
    if (wire::text(h, "plan_id", 64) != plan_id)
      throw Error(ErrorCode::wrong_key,
                  source.name() + " was made for another plan; make keys with this plan's client file");
    key_id_ = wire::text(h, "key_id", 64);
    const auto expected = key_section_bytes(ring_->n(), ring_->prime_bits(), request_);
    bool same = file_.sections() == expected.size();
    for (std::size_t i = 0; same && i < expected.size(); ++i) same = file_.section_bytes(i) == expected[i];
    same = same && wire::integer(h, "log_n", 0, 64) == parameters.log_n &&
           wire::integer(h, "ciphertext_primes", 0, 64) == parameters.ciphertext_primes &&
           wire::integer(h, "special_primes", 0, 64) == parameters.special_primes;
    if (!same) file_.fail("its keys do not have the plan's sizes");
  });
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
  const auto at = std::lower_bound(request_.keys.begin(), request_.keys.end(), id);
  if (at == request_.keys.end() || *at != id)
    throw Error(ErrorCode::wrong_key, file_.name() + " lacks a key that the plan needs");
  const KeyTier& tier = request_.tiers[static_cast<std::size_t>(id.tier)];
  const auto digits = static_cast<std::size_t>(key_digits(tier, id.galois_element)),
             limbs = static_cast<std::size_t>(tier.max_limbs + tier.special);
  const std::size_t n = ring_->n(), width = wire::word_bytes(ring_->prime_bits());
  SwitchingKey out{tier, {}};
  for (std::size_t d = 0; d < digits; ++d) out.digits.push_back({ring::PackedPoly(limbs), ring::PackedPoly(limbs)});
  // The seed, then limb by limb: what is read is at once in its final form.
  std::vector<std::size_t> pieces(1 + digits * limbs, n * width);
  Seed seed;
  pieces[0] = seed.size();
  ring::Limb words = ring_->limb();
  bool valid = true;
  file_.stream(static_cast<std::size_t>(at - request_.keys.begin()), pieces,
               [&](std::size_t k, std::span<const unsigned char> bytes) {
                 if (k == 0) {
                   std::copy(bytes.begin(), bytes.end(), seed.begin());
                   return;
                 }
                 const std::size_t d = (k - 1) / limbs, j = (k - 1) % limbs;
                 const std::size_t i = out.prime_index(static_cast<int>(j), ciphertext_primes_);
                 valid = wire::unpack_words(words.data(), bytes.data(), n, width, ring_->prime(i)) && valid;
                 out.digits[d].b[j] = ring_->pack(words.data());
                 expand_uniform(*ring_, seed, d, i, words.data());
                 out.digits[d].a[j] = ring_->pack(words.data());
               });
  if (!valid) file_.fail("a key has a value out of range");
  return out;
}

void KeyFile::drop_tier(int tier) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(loaded_, [&](const auto& entry) { return entry.first.tier == tier; });
}

}  // namespace sotto::ckks
