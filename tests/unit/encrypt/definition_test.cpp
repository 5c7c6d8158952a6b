// Encryption with a public key word by word as its definition has it, from randomness that is drawn twice. The special
// prime is small, so that errors show through the division by it.
#include <gtest/gtest.h>
#include <sodium.h>

#include <random>

#include "ckks/encoder.h"
#include "ckks/sampler.h"
#include "encrypt/public_key.h"
#include "encrypt/small.h"
#include "secret/keygen.h"
#include "support/toy_parameters.h"

namespace sotto::encrypt {
namespace {

__extension__ using i128 = __int128;
using u64 = std::uint64_t;
using Integers = std::vector<i128>;

constexpr u64 kPrime = 281474975662081, kSpecial = 257;
constexpr std::size_t kSize = 64;

std::mt19937_64 generator;

void fill(void* out, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) static_cast<unsigned char*>(out)[i] = static_cast<unsigned char>(generator());
}

// While this is there, randomness follows from the state of `generator`.
class Replayed {
 public:
  Replayed() { randombytes_set_implementation(&implementation_); }
  ~Replayed() { randombytes_set_implementation(&randombytes_sysrandom_implementation); }
  Replayed(const Replayed&) = delete;
  Replayed& operator=(const Replayed&) = delete;

 private:
  randombytes_implementation implementation_{[] { return "replayed"; },
                                             [] { return static_cast<std::uint32_t>(generator()); },
                                             nullptr,
                                             nullptr,
                                             fill,
                                             nullptr};
};

Integers coefficients(const ring::Ring& ring, const u64* values, std::size_t i) {
  ring::Limb x = ring.limb();
  std::copy_n(values, kSize, x.data());
  ring.intt(x.data(), x.data(), i);
  return {x.data(), x.data() + kSize};
}

Integers small(const SecretArray<std::int8_t>& a) { return {a.data(), a.data() + kSize}; }

// Modulo X^n + 1.
Integers product(const Integers& a, const Integers& b) {
  Integers out(kSize);
  for (std::size_t i = 0; i < kSize; ++i)
    for (std::size_t j = 0; j < kSize; ++j) out[(i + j) % kSize] += i + j < kSize ? a[i] * b[j] : -a[i] * b[j];
  return out;
}

// round((x u + e + special m) / special) modulo the prime, for x that is given modulo both.
Integers divided(const Integers& mod_prime, const Integers& mod_special, const Integers& u, const Integers& e,
                 const Integers& m) {
  const i128 q = kPrime, p = kSpecial;
  const Integers by_prime = product(mod_prime, u), by_special = product(mod_special, u);
  i128 multiple = 1;  // of the special prime
  while (multiple % p != 0) multiple += q;
  const i128 inverse = multiple / p;
  Integers out(kSize);
  for (std::size_t k = 0; k < kSize; ++k) {
    const i128 y = by_prime[k] + e[k] + p * m[k];
    i128 r = ((by_special[k] + e[k]) % p + p) % p;  // what the division leaves over, centred
    if (r > p / 2) r -= p;
    out[k] = ((y - r) % q * inverse % q + q) % q;
  }
  return out;
}

TEST(PublicEncryption, IsItsDefinitionWordByWord) {
  const ckks::ParametersSpec spec{
      .log_n = 6, .kind = ring::RingKind::standard, .ciphertext_primes = 1, .special_primes = 1};
  const ckks::Parameters parameters = ckks::ToyParameters::make(spec);
  const auto ring =
      std::make_shared<const ring::Ring>(6, spec.kind, std::vector<u64>{kPrime, kSpecial}, simd::scalar_kernels());
  const secret::SecretKey key = secret::SecretKey::generate(ring);
  const secret::KeyGenerator keys(1, key);
  const PublicKey made = keys.public_key(1);
  Integers b[2], a[2];  // modulo the prime and the special prime
  for (std::size_t i = 0; i < 2; ++i) {
    b[i] = coefficients(*ring, made.b[1 - i].data(), i);
    ring::Limb words = ring->limb();
    ckks::expand_uniform(*ring, made.seed, 0, i, words.data());
    a[i] = coefficients(*ring, words.data(), i);
  }
  std::vector<double> message(kSize);
  for (std::size_t k = 0; k < kSize; ++k) message[k] = static_cast<double>(k * k) - 1000;
  const ckks::Plaintext m = ckks::encode(*ring, message, 1, 1);
  const Integers text(message.begin(), message.end()), none(kSize);
  PublicKey copy{{}, made.seed};
  for (const ring::Limb& limb : made.b) std::copy_n(limb.data(), kSize, copy.b.emplace_back(ring->limb()).data());
  const PublicEncryption encryption(parameters, ring, std::move(copy));
  const Replayed replayed;
  for (unsigned seed = 0; seed < 40; ++seed) {  // errors change about one coefficient in a hundred
    generator.seed(seed);
    const ckks::Ciphertext c = encryption.encrypt(m);
    generator.seed(seed);
    SecretArray<std::int8_t> u(kSize), e0(kSize), e1(kSize);
    sample_ternary(u);
    sample_error(e0);
    sample_error(e1);
    ASSERT_EQ(coefficients(*ring, c.c0[0].data(), 0), divided(b[0], b[1], small(u), small(e0), text));
    ASSERT_EQ(coefficients(*ring, c.c1[0].data(), 0), divided(a[0], a[1], small(u), small(e1), none));
    generator.seed(seed);
    const ckks::Ciphertext renewed = encryption.renew(c);
    const Integers c0 = coefficients(*ring, c.c0[0].data(), 0), c1 = coefficients(*ring, c.c1[0].data(), 0);
    ASSERT_EQ(coefficients(*ring, renewed.c0[0].data(), 0), divided(b[0], b[1], small(u), small(e0), c0));
    ASSERT_EQ(coefficients(*ring, renewed.c1[0].data(), 0), divided(a[0], a[1], small(u), small(e1), c1));
  }
}

}  // namespace
}  // namespace sotto::encrypt
