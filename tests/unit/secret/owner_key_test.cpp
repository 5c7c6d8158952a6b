// One key of its owner, and a secret for every ring.
#include <gtest/gtest.h>

#include <algorithm>

#include "secret/secret_key.h"
#include "support/expect_error.h"
#include "support/toy_parameters.h"

namespace sotto::secret {
namespace {

std::shared_ptr<const ring::Ring> ring_of(int log_n, ring::RingKind kind, int primes) {
  ckks::ParametersSpec spec;
  spec.log_n = log_n;
  spec.kind = kind;
  spec.ciphertext_primes = primes;
  spec.special_primes = 1;
  return ckks::ToyParameters::make(spec).make_ring(simd::select_kernels());
}

// Back to -1, 0, 1: the first `count` coefficients of a secret.
std::vector<int> coefficients(const SecretKey& key, std::size_t count) {
  auto values = key.values(0);
  key.ring().intt(values.data(), values.data(), 0);
  std::vector<int> out;
  for (std::size_t k = 0; k < count; ++k) out.push_back(values[k] > 1 ? -1 : static_cast<int>(values[k]));
  return out;
}

TEST(OwnerKey, ServesEveryRingWithAnotherSecret) {
  const OwnerKey owner = OwnerKey::generate();
  constexpr std::size_t kCount = 512;
  const auto small = coefficients(owner.secret_of(ring_of(10, ring::RingKind::standard, 2)), kCount),
             large = coefficients(owner.secret_of(ring_of(11, ring::RingKind::standard, 2)), kCount),
             real = coefficients(owner.secret_of(ring_of(10, ring::RingKind::conjugate_invariant, 2)), kCount);
  for (const auto& [a, b] : {std::pair{small, large}, {small, real}, {large, real}}) {
    std::size_t equal = 0;
    for (std::size_t k = 0; k < kCount; ++k) equal += a[k] == b[k];
    EXPECT_LT(equal, kCount / 2) << "a third of independent ternary values are equal";
    EXPECT_GT(equal, kCount / 5);
  }
  EXPECT_EQ(small, coefficients(owner.secret_of(ring_of(10, ring::RingKind::standard, 4)), kCount))
      << "whatever its primes";
}

// Keys of plans of less security must not be keys of the same secret.
TEST(OwnerKey, EveryLevelOfSecurityHasAnotherSecret) {
  using Level = ckks::SecurityLevel;
  const OwnerKey owner = OwnerKey::generate();
  const auto ring = ring_of(10, ring::RingKind::standard, 2);
  const auto of = [&](Level level) { return coefficients(owner.secret_of(ring, level), 100); };
  EXPECT_EQ(coefficients(owner.secret_of(ring), 100), of(Level::classical128));
  EXPECT_NE(of(Level::classical128), of(Level::classical192));
  EXPECT_NE(of(Level::classical128), of(Level::quantum128));
  EXPECT_NE(of(Level::classical192), of(Level::quantum128));
}

TEST(OwnerKey, DerivesIndependentBytes) {
  const OwnerKey owner = OwnerKey::generate(), other = OwnerKey::generate();
  const auto bytes = [](const SecretArray<unsigned char>& a) { return std::vector(a.data(), a.data() + a.size()); };
  const auto made = bytes(owner.derive("purpose", "what"));
  EXPECT_EQ(made.size(), 32u);
  EXPECT_EQ(made, bytes(OwnerKey(owner.bytes()).derive("purpose", "what")));
  for (const auto& another : {bytes(owner.derive("purpose", "whatever")), bytes(owner.derive("purpos", "ewhat")),
                              bytes(owner.derive("", "purposewhat")), bytes(other.derive("purpose", "what"))})
    EXPECT_NE(made, another);
  const std::string longest(16, 'p');
  EXPECT_NE(bytes(owner.derive(longest, "what")), bytes(owner.derive(longest.substr(1), "what")));
  EXPECT_TRUE(test::fails_with([&] { (void)owner.derive(longest + "p", "what"); }, ErrorCode::internal));
}

TEST(OwnerKey, IsItsBytes) {
  const OwnerKey owner = OwnerKey::generate(), same(owner.bytes()), other = OwnerKey::generate();
  EXPECT_EQ(owner.id(), same.id());
  EXPECT_NE(owner.id(), other.id());
  EXPECT_EQ(owner.id().size(), 32u);
  const auto ring = ring_of(10, ring::RingKind::standard, 2);
  EXPECT_EQ(coefficients(owner.secret_of(ring), 100), coefficients(same.secret_of(ring), 100));
  EXPECT_NE(coefficients(owner.secret_of(ring), 100), coefficients(other.secret_of(ring), 100));
  EXPECT_EQ(owner.secret_of(ring).id(), owner.id());
  for (const std::size_t size : {31u, 33u})
    EXPECT_TRUE(test::fails_with([&] { OwnerKey(SecretArray<unsigned char>(size)); }, ErrorCode::internal)) << size;
}

// The identity is that of the key that signs, so that whoever knows it can tell who signed.
TEST(OwnerKey, SignsUnderItsIdentity) {
  const OwnerKey owner = OwnerKey::generate(), same(owner.bytes());
  const signing::SigningKey key = owner.signing_key();
  EXPECT_EQ(key.verification_key(), same.signing_key().verification_key());
  EXPECT_EQ(owner.id(), signing::identity_of(key.verification_key()));
  EXPECT_NE(key.verification_key(), OwnerKey::generate().signing_key().verification_key());
  const SecretArray<unsigned char> seed = key.seed();
  EXPECT_FALSE(std::equal(seed.data(), seed.data() + seed.size(), owner.bytes().data())) << "another secret";
}

}  // namespace
}  // namespace sotto::secret
