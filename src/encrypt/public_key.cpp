#include "encrypt/public_key.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "encrypt/small.h"

namespace sotto::encrypt {

using u64 = std::uint64_t;

PublicEncryption::PublicEncryption(const ckks::Parameters& parameters, std::shared_ptr<const ring::Ring> ring,
                                   PublicKey key)
    : ciphertext_primes_(parameters.spec().ciphertext_primes),
      ring_(std::move(ring)),
      switcher_(parameters, ring_, {{ciphertext_primes_, 1}}, nullptr),
      b_(std::move(key.b)) {
  check(sodium_init() >= 0, "libsodium does not start");
  for (std::size_t l = 0; l < b_.size(); ++l) a_.push_back(ring_->limb());
  parallel_for(b_.size(), [&](std::size_t l) {
    ckks::expand_uniform(*ring_, key.seed, 0, public_key_prime(l, ciphertext_primes_), a_[l].data());
  });
}

ckks::Ciphertext PublicEncryption::encrypt(const ckks::Plaintext& message) const {
  return encrypt(message.poly, nullptr, message.scale);
}

ckks::Ciphertext PublicEncryption::renew(const ckks::Ciphertext& c) const { return encrypt(c.c0, &c.c1, c.scale); }

ckks::Ciphertext PublicEncryption::encrypt(const ring::RnsPoly& c0, const ring::RnsPoly* c1, double scale) const {
  const std::size_t n = ring_->n();
  const ckks::Level level = ckks::level_of(c0);
  const auto limbs = static_cast<std::size_t>(public_key_limbs(level.limbs));
  check(limbs <= b_.size(), "the public key has too few limbs");
  SecretArray<std::int8_t> u(n), e0(n), e1(n);
  sample_ternary(u);
  sample_error(e0);
  sample_error(e1);
  const u64 p = ring_->prime(public_key_prime(0, ciphertext_primes_));
  const ckks::Level extended{level.limbs + 1, level.absent};
  ckks::Extended raised{level, 0, ckks::make_poly(*ring_, extended), ckks::make_poly(*ring_, extended)};
  parallel_for(limbs, [&](std::size_t l) {
    if (l > 0 && !level.has(static_cast<int>(l) - 1)) return;
    const std::size_t i = public_key_prime(l, ciphertext_primes_);
    const std::size_t to = l == 0 ? limbs - 1 : l - 1;  // the special limb comes last
    const auto& k = ring_->kernels();
    const auto& m = ring_->modulus(i);
    const SecretArray<u64> uv = to_values(*ring_, u, i), v0 = to_values(*ring_, e0, i), v1 = to_values(*ring_, e1, i);
    SecretArray<u64> sum(n);
    k.mul(sum.data(), b_[l].data(), uv.data(), n, m);
    k.add(sum.data(), sum.data(), v0.data(), n, m);
    // The message comes before the division: an encryption of zero beside the ciphertext would tell it.
    if (l > 0) k.mul_scalar_add(sum.data(), c0[l - 1].data(), p % m.q, sum.data(), n, m);
    std::copy_n(sum.data(), n, raised.c0[to].data());
    k.mul(sum.data(), a_[l].data(), uv.data(), n, m);
    k.add(sum.data(), sum.data(), v1.data(), n, m);
    if (l > 0 && c1 != nullptr) k.mul_scalar_add(sum.data(), (*c1)[l - 1].data(), p % m.q, sum.data(), n, m);
    std::copy_n(sum.data(), n, raised.c1[to].data());
  });
  ckks::Ciphertext out;
  out.scale = scale;
  switcher_.mod_down(std::move(raised), level, nullptr, out.c0, out.c1);
  return out;
}

}  // namespace sotto::encrypt
