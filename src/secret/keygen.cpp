#include "secret/keygen.h"

#include "base/error.h"
#include "base/parallel.h"
#include "encrypt/small.h"
#include "ring/primes.h"
#include "simd/tables.h"

namespace sotto::secret {

using u64 = std::uint64_t;

KeyGenerator::KeyGenerator(int ciphertext_primes, const SecretKey& key)
    : ciphertext_primes_(ciphertext_primes), key_(key), ephemeral_(key.ring().n()) {
  sample_sparse(ephemeral_);
}

ckks::SeededSwitchingKey KeyGenerator::switching_key(const ckks::KeyShape& shape) const {
  const auto& [tier, galois_element] = shape;
  check(tier.ephemeral == (galois_element == ckks::kToEphemeral) &&
            (!tier.ephemeral || tier.max_limbs + tier.special == 2),
        "the ephemeral secret has a key in the ephemeral tier only");
  const ring::Ring& ring = key_.ring();
  const std::size_t n = ring.n();
  const int q = ciphertext_primes_;
  ckks::SwitchingKey layout{tier, {}};
  ckks::SeededSwitchingKey out{shape, ckks::random_seed(), {}};
  std::vector<SecretArray<std::int8_t>> errors;
  const int digits = ckks::key_digits(tier, galois_element);
  for (int d = 0; d < digits; ++d) {
    errors.emplace_back(n);
    encrypt::sample_error(errors.back());
    out.b.emplace_back();
    for (int j = 0; j < layout.limbs(); ++j) out.b.back().push_back(ring.limb());
  }
  // The key is held by sigma^-1(s) (see SwitchingKey); the automorphism group has an exponent dividing n.
  const bool automorphism = galois_element % 2 == 1;
  const u64 inverse = !automorphism ? 1 : simd::pow_mod(galois_element, n - 1, ring.cyclotomic_order());
  const std::uint32_t* table = inverse == 1 ? nullptr : ring.automorphism(inverse);
  parallel_for(static_cast<std::size_t>(layout.limbs()), [&](std::size_t j) {
    const std::size_t i = layout.prime_index(static_cast<int>(j), q);
    const simd::ModulusView& m = ring.modulus(i);
    const auto& k = ring.kernels();
    const SecretArray<u64> s = key_.values(i);
    SecretArray<u64> other;
    if (table != nullptr) {
      other = SecretArray<u64>(n);
      k.automorphism(other.data(), s.data(), table, n);
    } else if (galois_element == ckks::kRelinearise) {
      other = SecretArray<u64>(n);
      k.mul(other.data(), s.data(), s.data(), n, m);
    } else if (!automorphism) {
      other = encrypt::to_values(ring, ephemeral_, i);
    }
    const bool holds = table != nullptr || galois_element == ckks::kToEphemeral;
    const bool hides = galois_element == ckks::kRelinearise || galois_element == ckks::kFromEphemeral;
    const u64* held_by = holds ? other.data() : s.data();
    const u64* hidden = hides ? other.data() : s.data();
    u64 special = 1;
    for (int t = 0; t < tier.special; ++t)
      special = ring::mul_mod(special, ring.prime(static_cast<std::size_t>(q + t)) % m.q, m.q);
    ring::Limb a = ring.limb();
    SecretArray<u64> product(n);
    for (int d = 0; d < digits; ++d) {
      u64* b = out.b[d][j].data();
      ckks::expand_uniform(ring, out.seed, static_cast<u64>(d), i, a.data());
      const SecretArray<u64> e = encrypt::to_values(ring, errors[d], i);
      k.mul(product.data(), a.data(), held_by, n, m);
      k.sub(product.data(), e.data(), product.data(), n, m);
      const bool own = static_cast<int>(j) < tier.max_limbs &&
                       (galois_element == ckks::kFromEphemeral || static_cast<int>(j) / tier.digit_limbs() == d);
      if (own) k.mul_scalar_add(product.data(), hidden, special, product.data(), n, m);
      std::copy_n(product.data(), n, b);
    }
  });
  return out;
}

encrypt::PublicKey KeyGenerator::public_key(int message_limbs) const {
  const ring::Ring& ring = key_.ring();
  const std::size_t n = ring.n();
  const auto limbs = static_cast<std::size_t>(encrypt::public_key_limbs(message_limbs));
  SecretArray<std::int8_t> error(n);
  encrypt::sample_error(error);
  encrypt::PublicKey out{{}, ckks::random_seed()};
  for (std::size_t l = 0; l < limbs; ++l) out.b.push_back(ring.limb());
  parallel_for(limbs, [&](std::size_t l) {
    const std::size_t i = encrypt::public_key_prime(l, ciphertext_primes_);
    const SecretArray<u64> s = key_.values(i), e = encrypt::to_values(ring, error, i);
    SecretArray<u64> product(n);
    ring::Limb a = ring.limb();
    ckks::expand_uniform(ring, out.seed, 0, i, a.data());
    ring.kernels().mul(product.data(), a.data(), s.data(), n, ring.modulus(i));
    ring.kernels().sub(out.b[l].data(), e.data(), product.data(), n, ring.modulus(i));
  });
  return out;
}

}  // namespace sotto::secret
