#include "encrypt/public_key_file.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/hex.h"
#include "ckks/ring_field.h"
#include "wire/fields.h"
#include "wire/pack.h"
#include "wire/writer.h"

namespace sotto::encrypt {

namespace {

constexpr int kMostLimbs = 65;  // those of the largest message, and a special one

}  // namespace

void write_public_key(const Sink& sink, const ring::Ring& ring, const ckks::ParametersSpec& parameters,
                      const PublicKey& key, const signing::SigningKey& owner) {
  const std::size_t width = wire::word_bytes(parameters.prime_bits), bytes = ring.n() * width;
  nlohmann::json header = {{"key_id", signing::identity_of(owner.verification_key())},
                           {"log_n", parameters.log_n},
                           {"ring", ring::name_of(parameters.kind)},
                           {"prime_bits", parameters.prime_bits},
                           {"small_primes", parameters.small_primes},
                           {"limbs", key.limbs()},
                           {"seed", to_hex(key.seed)}};
  ckks::add_security_level(header, parameters.security);
  wire::FileWriter file(sink, wire::Kind::public_key, header, std::vector<std::uint64_t>(key.b.size(), bytes),
                        wire::Access::everyone, {}, &owner);
  std::vector<unsigned char> packed(bytes);
  for (const ring::Limb& limb : key.b) {
    wire::pack_words(packed.data(), limb.data(), ring.n(), width);
    file.write(packed);
  }
  file.commit();
}

PublicKeyFile::PublicKeyFile(const Source& source) : file_(source, wire::Kind::public_key) {
  file_.decode([&](const auto& h) {
    key_id_ = wire::text(h, "key_id", 64);
    ring_.log_n = wire::small_integer(h, "log_n", 6, 17);
    ring_.kind = ckks::ring_kind(h);
    ring_.prime_bits = wire::small_integer(h, "prime_bits", 30, 48);
    ring_.small_primes = wire::small_integer(h, "small_primes", 0, ckks::kMostSmallPrimes);
    ring_.security = ckks::security_level(h);
    limbs_ = wire::small_integer(h, "limbs", 2, kMostLimbs);
    const auto seed = wire::hex_bytes(h, "seed", seed_.size());
    std::copy(seed.begin(), seed.end(), seed_.begin());
    bool whole = file_.sections() == static_cast<std::size_t>(limbs_);
    for (std::size_t l = 0; whole && l < file_.sections(); ++l)
      whole = file_.section_bytes(l) == (std::uint64_t{1} << ring_.log_n) * wire::word_bytes(ring_.prime_bits);
    if (!whole) file_.fail("it does not hold the key that it announces");
    wire::require_owner(file_, key_id_);
  });
  file_.name_sections([](std::size_t l) { return "limb " + std::to_string(l) + " of the key"; });
}

bool PublicKeyFile::same_ring(const ckks::ParametersSpec& parameters) const {
  return ckks::same_ring(ring_, parameters);
}

bool PublicKeyFile::serves(const ckks::ParametersSpec& parameters, int message_limbs) const {
  return same_ring(parameters) && limbs_ >= public_key_limbs(message_limbs);
}

PublicKey PublicKeyFile::read(const ring::Ring& ring, const ckks::ParametersSpec& parameters, int message_limbs) const {
  if (!serves(parameters, message_limbs))
    throw Error(ErrorCode::wrong_key,
                file_.name() + " does not serve this plan; its owner makes one with the plan's client file");
  PublicKey key;
  key.seed = seed_;
  const std::size_t width = wire::word_bytes(ring_.prime_bits);
  std::vector<unsigned char> packed(ring.n() * width);
  for (std::size_t l = 0; l < static_cast<std::size_t>(public_key_limbs(message_limbs)); ++l) {
    file_.read(l, packed);
    key.b.push_back(ring.limb());
    const std::size_t i = public_key_prime(l, parameters.ciphertext_primes);
    if (!wire::unpack_words(key.b[l].data(), packed.data(), ring.n(), width, ring.prime(i)))
      file_.fail("the key has a value out of range");
  }
  return key;
}

}  // namespace sotto::encrypt
