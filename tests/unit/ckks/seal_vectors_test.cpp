// Rings, encodings and ciphertexts against what Microsoft SEAL made of the same numbers (tests/golden/seal).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "ckks/encoder.h"
#include "ckks/evaluator.h"
#include "support/toy_parameters.h"

namespace sotto::ckks {
namespace {

using nlohmann::json;
using ring::RnsPoly;
using u64 = std::uint64_t;

constexpr int kLogDegree = 7, kLimbs = 3;
constexpr u64 kDegree = 1 << kLogDegree, kOrder = 2 * kDegree;

const json& vectors() {
  static const json v = json::parse(std::ifstream(SOTTO_SOURCE_DIR "/tests/golden/seal/vectors.json"));
  return v;
}

Parameters toy(int log_n, ring::RingKind kind) {
  return ToyParameters::make({.log_n = log_n, .kind = kind, .ciphertext_primes = kLimbs, .special_primes = 1});
}

// SEAL's slot j belongs to the root's power 3^j, ours to 5^j; the power -5^j has the conjugate of our slot j.
struct Place {
  std::size_t slot;
  bool conjugate;
};
Place place_of(std::size_t seal_slot) {
  u64 wanted = 1;
  for (std::size_t j = 0; j < seal_slot; ++j) wanted = wanted * 3 % kOrder;
  u64 power = 1;
  for (std::size_t j = 0; j < kDegree / 2; ++j, power = power * 5 % kOrder)
    if (power == wanted || power == kOrder - wanted) return {j, power != wanted};
  throw std::logic_error("an odd number is 5^j or -5^j");
}

class SealVectors : public ::testing::TestWithParam<const simd::Kernels*> {
 protected:
  SealVectors()
      : parameters(toy(kLogDegree, ring::RingKind::standard)),
        ring(parameters.make_ring(*GetParam())),
        evaluator(parameters, ring, {{kLimbs, 1}}, &keys) {}

  // SEAL's values, which belong to its own roots, as ours. Limb kLimbs is the special prime.
  [[nodiscard]] ring::Limb import_limb(const json& words, std::size_t i) const {
    const u64 q = vectors()["primes"][i];
    const simd::NttTables seal(kDegree, q, vectors()["roots"][i], false, simd::TwiddleLayout::shoup);
    ring::Limb limb = ring->limb();
    for (std::size_t k = 0; k < kDegree; ++k) limb.data()[k] = words[k];
    simd::scalar_kernels().intt(limb.data(), limb.data(), seal.view(), 1);
    ring->ntt(limb.data(), i);
    return limb;
  }
  [[nodiscard]] RnsPoly import(const json& limbs) const {
    RnsPoly poly;
    for (std::size_t i = 0; i < limbs.size(); ++i) poly.push_back(import_limb(limbs[i], i));
    return poly;
  }
  [[nodiscard]] Ciphertext import_ciphertext(const json& polynomials) const {
    return {import(polynomials[0]), import(polynomials[1]), vectors()["scale"]};
  }

  // Each polynomial of a key is moved by the automorphism of this Galois element: our keys are permuted last.
  [[nodiscard]] SwitchingKey import_key(const json& digits, u64 galois_element) const {
    const auto moved = [&](const json& limbs) {
      ring::PackedPoly out;
      for (const ring::Limb& limb : import(limbs)) {
        ring::Limb to = ring->limb();
        ring->kernels().automorphism(to.data(), limb.data(), ring->automorphism(galois_element), kDegree);
        out.push_back(ring->pack(to.data()));
      }
      return out;
    };
    SwitchingKey key{.tier = {kLimbs, 1}, .digits = {}};
    for (const json& digit : digits) key.digits.push_back({moved(digit[0]), moved(digit[1])});
    return key;
  }

  // c0 + c1 s.
  [[nodiscard]] RnsPoly decrypt(const Ciphertext& c) const {
    const RnsPoly secret = import(vectors()["secret"]);
    RnsPoly out;
    for (std::size_t i = 0; i < c.c0.size(); ++i) {
      ring::Limb x = ring->limb();
      ring->kernels().mul(x.data(), c.c1[i].data(), secret[i].data(), kDegree, ring->modulus(i));
      ring->kernels().add(x.data(), x.data(), c.c0[i].data(), kDegree, ring->modulus(i));
      out.push_back(std::move(x));
    }
    return out;
  }

  static void expect_equal(const RnsPoly& got, const RnsPoly& want) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      for (std::size_t k = 0; k < kDegree; ++k)
        ASSERT_EQ(got[i].data()[k], want[i].data()[k]) << "limb " << i << ", word " << k;
  }

  // Equal up to what the errors of a switching key add: digits of 48 bits times errors, divided by as large a prime.
  void expect_near(const RnsPoly& got, const RnsPoly& want) const {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ring::Limb x = ring->limb();
      ring->kernels().sub(x.data(), got[i].data(), want[i].data(), kDegree, ring->modulus(i));
      ring->intt(x.data(), x.data(), i);
      for (std::size_t k = 0; k < kDegree; ++k)
        ASSERT_LT(std::min(x.data()[k], ring->prime(i) - x.data()[k]), 4096u) << "limb " << i << ", coefficient " << k;
    }
  }

  Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  KeyMap keys;
  Evaluator evaluator;
};

TEST_P(SealVectors, AreOfTheSamePrimes) { EXPECT_EQ(parameters.primes(), vectors()["primes"].get<std::vector<u64>>()); }

TEST_P(SealVectors, Transform) {
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const simd::NttTables t(kDegree, ring->prime(i), vectors()["roots"][i], false, GetParam()->layout);
    for (std::size_t p = 0; p < 2; ++p) {
      simd::AlignedArray<u64> x(kDegree);
      for (std::size_t k = 0; k < kDegree; ++k) x[k] = vectors()["coefficients"][p][i][k];
      GetParam()->ntt(x.data(), t.view());
      for (std::size_t k = 0; k < kDegree; ++k)
        ASSERT_EQ(x[k], vectors()["encrypted"][0][p][i][k].get<u64>()) << "polynomial " << p << ", limb " << i;
    }
  }
}

TEST_P(SealVectors, Encode) {
  const Encoder encoder(kLogDegree, ring::RingKind::standard);
  for (std::size_t v = 0; v < 2; ++v) {
    std::vector<std::complex<double>> slots(kDegree / 2);
    for (std::size_t j = 0; j < slots.size(); ++j) {
      const json& z = vectors()["slots"][v][j];
      const Place at = place_of(j);
      slots[at.slot] = {z[0], at.conjugate ? -z[1].get<double>() : z[1].get<double>()};
    }
    const auto coefficients = encoder.embed_inverse(std::span<const std::complex<double>>(slots));
    expect_equal(encode(*ring, coefficients, vectors()["scale"], kLimbs).poly, import(vectors()["encoded"][v]));
  }
}

// Real slots of SEAL's ring of twice the rank are an element of the conjugate-invariant ring: coefficients, and values
// at the powers 4 r + 1 of the root.
TEST_P(SealVectors, EncodeInTheConjugateInvariantRing) {
  constexpr int kLogRank = kLogDegree - 1;
  constexpr std::size_t kRank = std::size_t{1} << kLogRank;
  const Encoder encoder(kLogRank, ring::RingKind::conjugate_invariant);
  std::vector<double> slots(kRank);
  for (std::size_t j = 0; j < kRank; ++j) slots[place_of(j).slot] = vectors()["real_slots"][j];
  const auto coefficients = encoder.embed_inverse(std::span<const double>(slots));
  std::map<u64, std::size_t> at_power;
  for (std::size_t k = 0; k < kDegree; ++k) at_power[simd::exponent_of(k, kDegree, false)] = k;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const u64 q = ring->prime(i);
    simd::AlignedArray<u64> x(kRank);
    for (std::size_t k = 0; k < kRank; ++k) {
      const double c = std::nearbyint(coefficients[k] * vectors()["scale"].get<double>());
      x[k] = c < 0 ? q - static_cast<u64>(-c) : static_cast<u64>(c);
    }
    const simd::NttTables t(kRank, q, vectors()["roots"][i], true, GetParam()->layout);
    GetParam()->ntt(x.data(), t.view());
    for (std::size_t r = 0; r < kRank; ++r) {
      const std::size_t k = at_power.at(simd::exponent_of(r, kRank, true));
      ASSERT_EQ(x[r], vectors()["encoded"][2][i][k].get<u64>()) << "limb " << i << ", value " << r;
    }
  }
}

TEST_P(SealVectors, Decrypt) {
  expect_equal(decrypt(import_ciphertext(vectors()["encrypted"][0])), import(vectors()["decrypted"]));
}

TEST_P(SealVectors, Rescale) {
  const Ciphertext c = evaluator.rescale(import_ciphertext(vectors()["encrypted"][0]));
  expect_equal(c.c0, import(vectors()["rescaled"][0]));
  expect_equal(c.c1, import(vectors()["rescaled"][1]));
}

TEST_P(SealVectors, Relinearise) {
  const json& product = vectors()["product"];
  keys.keys.emplace(KeyId{0, kRelinearise}, import_key(vectors()["relinearisation_key"], 1));
  const Ciphertext c = evaluator.relinearise(import(product[0]), import(product[1]), import(product[2]), 1, kLimbs);
  expect_near(decrypt(c), import(vectors()["relinearised"]));
}

// The product itself, of which SEAL gives all three polynomials, and the division by the last prime with that by the
// special one.
TEST_P(SealVectors, Multiply) {
  keys.keys.emplace(KeyId{0, kRelinearise}, import_key(vectors()["relinearisation_key"], 1));
  const Ciphertext c =
      evaluator.multiply(import_ciphertext(vectors()["encrypted"][0]), import_ciphertext(vectors()["encrypted"][1]));
  ASSERT_EQ(c.limbs(), kLimbs - 1);
  const json& product = vectors()["product"];
  const Ciphertext whole =
      evaluator.relinearise(import(product[0]), import(product[1]), import(product[2]), 1, kLimbs - 1);
  expect_near(decrypt(c), decrypt(whole));
}

TEST_P(SealVectors, Rotate) {
  const u64 element = vectors()["galois_element"];
  u64 inverse = 1;
  while (inverse * element % kOrder != 1) inverse += 2;
  std::int64_t steps = 0;
  while (ring->rotation_galois_element(steps) != element) ASSERT_LT(++steps, static_cast<std::int64_t>(kDegree));
  keys.keys.emplace(KeyId{0, element}, import_key(vectors()["rotation_key"], inverse));
  const Ciphertext c = evaluator.rotate(import_ciphertext(vectors()["encrypted"][0]), steps);
  expect_near(decrypt(c), import(vectors()["rotated"]));
}

std::vector<const simd::Kernels*> kernel_sets() {
  std::vector<const simd::Kernels*> sets = {&simd::scalar_kernels()};
  for (const simd::Kernels* k : {simd::avx2_kernels(), simd::avx512_kernels(), simd::amx_kernels()})
    if (k != nullptr) sets.push_back(k);
  return sets;
}

INSTANTIATE_TEST_SUITE_P(Kernels, SealVectors, ::testing::ValuesIn(kernel_sets()),
                         [](const auto& kernels) { return std::string(kernels.param->name); });

}  // namespace
}  // namespace sotto::ckks
