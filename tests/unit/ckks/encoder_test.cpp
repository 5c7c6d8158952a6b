#include "ckks/encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "simd/tables.h"
#include "support/expect_error.h"

namespace sotto::ckks {
namespace {

class EncoderRoundTrip : public ::testing::TestWithParam<ring::RingKind> {};

TEST_P(EncoderRoundTrip, SlotsSurvive) {
  const bool real = GetParam() == ring::RingKind::conjugate_invariant;
  const Encoder encoder(9, GetParam());
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<std::complex<double>> slots(encoder.slots());
  for (auto& z : slots) z = {uniform(rng), real ? 0.0 : uniform(rng)};
  const auto back = encoder.embed(encoder.embed_inverse(std::span<const std::complex<double>>(slots)));
  for (std::size_t j = 0; j < slots.size(); ++j) EXPECT_LT(std::abs(back[j] - slots[j]), 1e-12) << j;
}

// The integers that encode a product of slot vectors are the ring product: ties the embedding to the transform.
TEST_P(EncoderRoundTrip, RingProductsMultiplySlots) {
  const bool real = GetParam() == ring::RingKind::conjugate_invariant;
  const ring::Ring ring(8, GetParam(), {281474975662081ull}, simd::scalar_kernels());
  const Encoder encoder(8, GetParam());
  std::mt19937_64 rng(2);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<std::complex<double>> a(encoder.slots()), b(encoder.slots());
  for (auto& z : a) z = {uniform(rng), real ? 0.0 : uniform(rng)};
  for (auto& z : b) z = {uniform(rng), real ? 0.0 : uniform(rng)};
  const double scale = 0x1p20;
  Plaintext pa = encode(ring, encoder.embed_inverse(std::span<const std::complex<double>>(a)), scale, 1);
  const Plaintext pb = encode(ring, encoder.embed_inverse(std::span<const std::complex<double>>(b)), scale, 1);
  ring.kernels().mul(pa.poly[0].data(), pa.poly[0].data(), pb.poly[0].data(), ring.n(), ring.modulus(0));
  const auto product = encoder.embed(decode_coefficients(ring, pa.poly));
  for (std::size_t j = 0; j < a.size(); ++j) EXPECT_LT(std::abs(product[j] / (scale * scale) - a[j] * b[j]), 1e-4) << j;
}

// A polynomial of the subring of period 64 is constant over runs of the full transform.
TEST_P(EncoderRoundTrip, PeriodicSlotsAreRunsOfTheTransform) {
  if (GetParam() == ring::RingKind::standard) GTEST_SKIP() << "the product uses the conjugate-invariant subring only";
  const ring::Ring ring(10, GetParam(), {281474975662081ull}, simd::scalar_kernels());
  const Encoder full(10, GetParam()), small(6, GetParam());
  std::mt19937_64 rng(3);
  std::vector<double> pattern(64), slots(1024);
  for (auto& v : pattern) v = static_cast<double>(rng() % 1000) / 1000;
  for (std::size_t j = 0; j < slots.size(); ++j) slots[j] = pattern[j % 64];
  const Plaintext p = encode(ring, full.embed_inverse(std::span<const double>(slots)), 4096, 1);
  const auto coefficients = small.embed_inverse(std::span<const double>(pattern));
  simd::AlignedArray<std::uint64_t> word(64);
  for (std::size_t i = 0; i < 64; ++i) {
    const auto v = static_cast<std::int64_t>(std::nearbyint(coefficients[i] * 4096));
    word[i] = static_cast<std::uint64_t>(v < 0 ? v + static_cast<std::int64_t>(ring.prime(0)) : v);
  }
  ring.kernels().ntt(word.data(), ring.subring_table(0, 64));
  for (std::size_t k = 0; k < 1024; ++k) ASSERT_EQ(p.poly[0].data()[k], word[k / 16]) << k;
}

// Centred integers come back from one limb and from two, up to the ends of what these hold.
TEST(Encode, IntegersComeBackExactly) {
  const ring::Ring ring(6, ring::RingKind::standard, {281474975662081ull, 281474962554881ull}, simd::scalar_kernels());
  const double half = static_cast<double>(ring.prime(0) / 2);
  std::vector<double> x(ring.n());
  const double some[] = {0, 1, -1, half, -half, half - 1, 1 - half, 12345};
  std::copy(std::begin(some), std::end(some), x.begin());
  EXPECT_EQ(decode_coefficients(ring, encode(ring, x, 1, 1).poly), x);
  EXPECT_EQ(decode_coefficients(ring, encode(ring, x, 1, 2).poly), x);
  const double large[] = {half + 1, -half - 1, 0x1.fffffffffffffp61, -0x1.fffffffffffffp61, 0x1p61, -0x1p61};
  std::copy(std::begin(large), std::end(large), x.begin() + 8);
  EXPECT_EQ(decode_coefficients(ring, encode(ring, x, 1, 2).poly), x);
}

TEST(Encode, RefusesWhatItCannotRound) {
  const ring::Ring ring(6, ring::RingKind::standard, {281474975662081ull}, simd::scalar_kernels());
  for (const double wrong : {0x1p42, -0x1p42, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
    std::vector<double> x(ring.n());
    x.back() = wrong;
    EXPECT_TRUE(test::refuses([&] { (void)encode(ring, x, 0x1p20, 1); }, {"too large"})) << wrong;
  }
  const std::vector<double> few(ring.n() - 1), right(ring.n());
  EXPECT_TRUE(test::fails_with([&] { (void)encode(ring, few, 1, 1); }, ErrorCode::internal));
  EXPECT_TRUE(test::fails_with([&] { (void)encode(ring, right, 1, 0); }, ErrorCode::internal));
  EXPECT_TRUE(test::fails_with([&] { (void)decode_coefficients(ring, {}); }, ErrorCode::internal));
}

INSTANTIATE_TEST_SUITE_P(Rings, EncoderRoundTrip,
                         ::testing::Values(ring::RingKind::standard, ring::RingKind::conjugate_invariant));

}  // namespace
}  // namespace sotto::ckks
