// What is decrypted does not stay in memory that others get next.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ckks/encoder.h"
#include "ckks/sampler.h"
#include "secret/crypt.h"
#include "support/toy_parameters.h"

namespace sotto::secret {
namespace {

TEST(Decryption, LeavesNothingInThePool) {
  ckks::ParametersSpec spec;
  spec.log_n = 10;
  spec.ciphertext_primes = 2;
  spec.special_primes = 1;
  const auto ring = ckks::ToyParameters::make(spec).make_ring(simd::select_kernels());
  const SecretKey key = SecretKey::generate(ring);
  std::vector<double> message(ring->n(), 0.5);
  ckks::SeededCiphertext fresh =
      encrypt_symmetric(key, ckks::encode(*ring, message, 0x1p40, 2), ckks::random_seed(), 0);
  ckks::Ciphertext c;
  c.c0 = std::move(fresh.c0);
  c.scale = fresh.scale;
  for (std::size_t l = 0; l < 2; ++l) {
    c.c1.push_back(ring->limb());
    ckks::expand_uniform(*ring, fresh.seed, 0, l, c.c1[l].data());
  }
  constexpr std::size_t kBlocks = 4;  // the message's limbs, and their coefficients
  {
    std::vector<ring::Limb> dirty;
    for (std::size_t k = 0; k < 2 * kBlocks; ++k) std::fill_n(dirty.emplace_back(ring->limb()).data(), ring->n(), 7);
  }
  ASSERT_TRUE(try_decrypt(key, c).has_value());
  std::vector<ring::Limb> next;
  for (std::size_t k = 0; k < kBlocks; ++k) {
    const std::uint64_t* words = next.emplace_back(ring->limb()).data();
    EXPECT_TRUE(std::all_of(words, words + ring->n(), [](std::uint64_t w) { return w == 0; })) << "block " << k;
  }
}

}  // namespace
}  // namespace sotto::secret
