#include "secret/crypt.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/encoder.h"
#include "encrypt/small.h"

namespace sotto::secret {

using u64 = std::uint64_t;

ckks::SeededCiphertext encrypt_symmetric(const SecretKey& key, const ckks::Plaintext& message, const ckks::Seed& seed,
                                         std::uint64_t stream) {
  const ring::Ring& ring = key.ring();
  const std::size_t n = ring.n();
  SecretArray<std::int8_t> error(n);
  encrypt::sample_error(error);
  ckks::SeededCiphertext out{{}, seed, stream, message.scale};
  out.c0 = ckks::make_poly(ring, message.level());
  ckks::parallel_for_limbs(message.level(), [&](std::size_t l) {
    const auto& k = ring.kernels();
    const SecretArray<u64> s = key.values(l);
    SecretArray<u64> sum = encrypt::to_values(ring, error, l), product(n);
    ring::Limb a = ring.limb();
    ckks::expand_uniform(ring, seed, stream, l, a.data());
    k.mul(product.data(), a.data(), s.data(), n, ring.modulus(l));
    k.sub(sum.data(), sum.data(), product.data(), n, ring.modulus(l));
    k.add(out.c0[l].data(), sum.data(), message.poly[l].data(), n, ring.modulus(l));
  });
  return out;
}

std::optional<std::vector<double>> try_decrypt(const SecretKey& key, const ckks::Ciphertext& c, double most) {
  const ring::Ring& ring = key.ring();
  ckks::Level level = c.level();
  level.limbs = std::min(level.limbs, level.absent + 2);
  ring::RnsPoly message = ckks::make_poly(ring, level);
  double modulus = 1;
  for (auto l = static_cast<std::size_t>(level.absent); l < message.size(); ++l) {
    const SecretArray<u64> s = key.values(l);
    ring.kernels().mul(message[l].data(), c.c1[l].data(), s.data(), ring.n(), ring.modulus(l));
    ring.kernels().add(message[l].data(), message[l].data(), c.c0[l].data(), ring.n(), ring.modulus(l));
    modulus *= static_cast<double>(ring.prime(l));
  }
  const auto wipe = [&](void*) {
    for (auto& limb : message)
      if (limb) sodium_memzero(limb.data(), ring.n() * sizeof(u64));
  };
  const std::unique_ptr<void, decltype(wipe)> wiper(&message, wipe);  // whatever the decoder throws
  std::vector<double> coefficients = ckks::decode_coefficients(ring, message);
  const auto [lo, hi] = std::minmax_element(coefficients.begin(), coefficients.end());
  if (std::max(-*lo, *hi) > modulus * most) return std::nullopt;
  return coefficients;
}

std::vector<double> decrypt(const SecretKey& key, const ckks::Ciphertext& c) {
  auto coefficients = try_decrypt(key, c);
  if (!coefficients) throw Error(ErrorCode::wrong_key, "the ciphertext does not decrypt under this key");
  return std::move(*coefficients);
}

}  // namespace sotto::secret
