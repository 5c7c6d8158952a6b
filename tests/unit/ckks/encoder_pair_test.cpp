// The inverse embedding against its definition, alone and in pairs, with many slots filled and with few: blocks of
// zeros are skipped.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "base/error.h"
#include "ckks/encoder.h"

namespace sotto::ckks {
namespace {

using Values = std::vector<double>;

// Slot j of a real polynomial a_0 + sum over i of a_i (x^i - x^(2n - i)): its value at the 5^j-th power of the
// primitive 4n-th root of unity, a_0 + sum of 2 a_i cos(2 pi 5^j i / 4n).
Values naive_slots(const Values& a) {
  const std::size_t n = a.size();
  Values slots(n);
  std::size_t e = 1;
  for (std::size_t j = 0; j < n; ++j, e = e * 5 % (4 * n)) {
    slots[j] = a[0];
    for (std::size_t i = 1; i < n; ++i)
      slots[j] +=
          2 * a[i] * std::cos(2 * std::numbers::pi * static_cast<double>(e * i % (4 * n)) / static_cast<double>(4 * n));
  }
  return slots;
}

double distance(const Values& a, const Values& b) {
  if (a.size() != b.size()) return INFINITY;
  double d = 0;
  for (std::size_t i = 0; i < a.size(); ++i) d = std::max(d, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : INFINITY);
  return d;
}

// Slots of which so many are not zero.
Values some_slots(std::size_t n, std::size_t filled, unsigned seed) {
  std::mt19937_64 rng(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  Values v(n);
  for (std::size_t k = 0; k < filled; ++k) v[filled == n ? k : rng() % n] = uniform(rng);
  return v;
}

// Sizes below, at and above the 64 values that are transformed at a time.
class EncoderPair : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, EncoderPair, ::testing::Values(0, 1, 2, 5, 6, 7, 8, 10));

TEST_P(EncoderPair, BothHaveTheirSlots) {
  const Encoder encoder(GetParam(), ring::RingKind::conjugate_invariant);
  const std::size_t n = std::size_t{1} << GetParam();
  unsigned seed = 0;
  for (std::size_t of_a : {n, n / 4, std::size_t{2}, std::size_t{1}, std::size_t{0}})
    for (std::size_t of_b : {n, n / 4, std::size_t{1}, std::size_t{0}}) {
      const Values a = some_slots(n, of_a, ++seed), b = some_slots(n, of_b, ++seed);
      const auto [first, second] = encoder.embed_inverse_pair(a, b);
      EXPECT_LT(distance(naive_slots(first), a), 1e-11) << of_a << " " << of_b;
      EXPECT_LT(distance(naive_slots(second), b), 1e-11) << of_a << " " << of_b;
      EXPECT_LT(distance(first, encoder.embed_inverse(std::span<const double>(a))), 1e-14);
      EXPECT_LT(distance(second, encoder.embed_inverse(std::span<const double>(b))), 1e-14);
    }
}

TEST_P(EncoderPair, OneSlotAtATime) {
  const Encoder encoder(GetParam(), ring::RingKind::conjugate_invariant);
  const std::size_t n = std::size_t{1} << GetParam();
  for (std::size_t j = 0; j<n; j += n> 64 ? 37 : 1) {
    Values slots(n);
    slots[j] = 3;
    EXPECT_LT(distance(naive_slots(encoder.embed_inverse(std::span<const double>(slots))), slots), 1e-11) << j;
  }
}

TEST_P(EncoderPair, ComplexSlotsWithZerosComeBack) {
  const Encoder encoder(GetParam() + 1, ring::RingKind::standard);
  std::mt19937_64 rng(7);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (std::size_t filled : {std::size_t{1}, std::size_t{3}, encoder.slots()}) {
    std::vector<std::complex<double>> slots(encoder.slots());
    for (std::size_t k = 0; k < filled; ++k) slots[rng() % slots.size()] = {uniform(rng), uniform(rng)};
    const auto back = encoder.embed(encoder.embed_inverse(std::span<const std::complex<double>>(slots)));
    for (std::size_t j = 0; j < slots.size(); ++j) EXPECT_LT(std::abs(back[j] - slots[j]), 1e-12) << j;
  }
}

TEST(EncoderPairs, ShorterInputIsPaddedAndNothingGivesNothing) {
  const Encoder encoder(8, ring::RingKind::conjugate_invariant);
  const Values a = some_slots(256, 256, 1), b = some_slots(256, 256, 2);
  Values padded(256);
  std::copy_n(b.begin(), 100, padded.begin());
  const auto [first, second] = encoder.embed_inverse_pair(a, std::span(b).first(100));
  EXPECT_LT(distance(naive_slots(first), a), 1e-11);
  EXPECT_LT(distance(naive_slots(second), padded), 1e-11);
  EXPECT_TRUE(encoder.embed_inverse_pair(a, {}).second.empty());
  EXPECT_EQ(encoder.embed_inverse_pair(a, {}).first, encoder.embed_inverse(std::span<const double>(a)));
  EXPECT_EQ(encoder.embed_inverse_pair({}, {}).first, Values(256));
}

TEST(EncoderPairs, WhatDoesNotFitIsRefused) {
  const Values many(65);
  const Encoder real(6, ring::RingKind::conjugate_invariant), complex(6, ring::RingKind::standard);
  EXPECT_THROW((void)real.embed_inverse_pair(many, {}), Error);
  EXPECT_THROW((void)real.embed_inverse_pair({}, many), Error);
  EXPECT_THROW((void)complex.embed_inverse_pair(std::span(many).first(8), {}), Error);
}

}  // namespace
}  // namespace sotto::ckks
