#include "ckks/parameters.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "ckks/eval_key.h"
#include "ckks/security.h"
#include "ring/primes.h"
#include "support/expect_error.h"

namespace sotto::ckks {
namespace {

TEST(Security, EveryRowNamesItsSourceAndSecret) {
  for (const SecurityRow& row : security_table()) {
    EXPECT_FALSE(row.source.empty());
    EXPECT_GE(row.bits, 128);
    EXPECT_EQ(find_security_row(row.log_n, row.secret, row.level), &row) << "one row for each level, rank and secret";
    const SecurityRow* dense = find_security_row(row.log_n, SecretDistribution::ternary, row.level);
    ASSERT_NE(dense, nullptr);
    EXPECT_TRUE(row.secret == SecretDistribution::ternary || row.max_log2_qp < dense->max_log2_qp)
        << "a sparse secret is safe under a smaller modulus only";
  }
}

// All security rests on these numbers: they are written twice. Ranks 2^12 to 2^17 of the published tables.
TEST(Security, TheTableIsTheOneThatWasPublished) {
  const struct {
    SecurityLevel level;
    int bits;
    double most[6];
  } levels[] = {{SecurityLevel::classical128, 128, {106, 214, 430, 868, 1747, 3523}},
                {SecurityLevel::classical192, 192, {73, 147, 297, 597, 1199, 2411}},
                {SecurityLevel::quantum128, 128, {80, 161, 322, 644, 1289, 2578}}};
  std::size_t rows = 2;
  for (const auto& l : levels)
    for (int log_n = 12; log_n <= 17; ++log_n, ++rows) {
      const SecurityRow* row = find_security_row(log_n, SecretDistribution::ternary, l.level);
      ASSERT_NE(row, nullptr);
      EXPECT_EQ(row->max_log2_qp, l.most[log_n - 12]) << log_n;
      EXPECT_EQ(row->bits, l.bits);
    }
  for (int log_n : {16, 17}) {  // two primes of 48 bits under the sparse secret
    const SecurityRow* row = find_security_row(log_n, SecretDistribution::ephemeral);
    ASSERT_NE(row, nullptr);
    EXPECT_EQ(row->max_log2_qp, 96);
    EXPECT_EQ(row->bits, 128);
  }
  EXPECT_EQ(security_table().size(), rows);
}

TEST(Security, HigherLevelsAllowSmallerModuli) {
  for (int log_n = 12; log_n <= 17; ++log_n) {
    const auto most = [&](SecurityLevel level) {
      return find_security_row(log_n, SecretDistribution::ternary, level)->max_log2_qp;
    };
    // The cost of lattice reduction grows with n / log q: by a third to a half for half as many bits more.
    EXPECT_NEAR(most(SecurityLevel::classical192) / most(SecurityLevel::classical128), 0.69, 0.01) << log_n;
    EXPECT_NEAR(most(SecurityLevel::quantum128) / most(SecurityLevel::classical128), 0.744, 0.013) << log_n;
  }
  for (const SecurityLevel level : {SecurityLevel::classical192, SecurityLevel::quantum128}) {
    EXPECT_FALSE(has_bootstrapping(16, level)) << "no bound for the sparse secret is known";
    EXPECT_EQ(level_named(name_of(level)), level);
  }
  EXPECT_TRUE(has_bootstrapping(16, SecurityLevel::classical128));
  EXPECT_FALSE(level_named("256"));
}

TEST(Parameters, AreCheckedAgainstTheLevelThatTheyClaim) {
  ParametersSpec spec{.log_n = 16, .ciphertext_primes = 20, .special_primes = 6};
  spec.security = SecurityLevel::quantum128;
  EXPECT_EQ(Parameters::create(spec).security_bits(), 128);  // 26 primes, 1248 bits of 1289
  spec.security = SecurityLevel::classical192;
  EXPECT_TRUE(test::refuses([&] { Parameters::create(spec); }, {"1248", "1199", "192"}));
  spec.special_primes = 4;
  EXPECT_EQ(Parameters::create(spec).security_bits(), 192);
  spec.special_primes = 7;
  spec.security = SecurityLevel::quantum128;
  EXPECT_TRUE(test::refuses([&] { Parameters::create(spec); }, {"1296", "1289", "quantum"}));
  ParametersSpec usual = spec;
  usual.security = SecurityLevel::classical128;
  EXPECT_FALSE(same_ring(usual, spec)) << "their secrets differ: neither serves the other's keys";
  EXPECT_FALSE(usual == spec);
  EXPECT_TRUE(test::refuses([&] { require_secure(spec, {{{20, 6}, {1, 1, true}}, {}}); }, {"ephemeral"}));
  EXPECT_TRUE(test::refuses([&] { require_secure(spec, {{{20, 7}}, {}}); }, {"so many primes"}));
}

TEST(Security, KeysUnderTheEphemeralSecretNeedARowOfTheirOwn) {
  const KeyTier usual{20, 10}, ephemeral{1, 1, true};
  const auto refused = [](int log_n, int prime_bits, const KeyTier& tier) {
    const ParametersSpec spec{.log_n = log_n, .ciphertext_primes = 20, .special_primes = 10, .prime_bits = prime_bits};
    return test::refuses(
        [&] {
          require_secure(spec, {{tier}, {}});
        },
        {tier.ephemeral ? "ephemeral" : "so many primes"});
  };
  for (int log_n : {16, 17}) {
    EXPECT_FALSE(refused(log_n, 48, ephemeral)) << "96 bits, all that the row allows";
    EXPECT_TRUE(refused(log_n, 48, {2, 1, true}));
    EXPECT_TRUE(refused(log_n, 48, {1, 2, true}));
    EXPECT_TRUE(refused(log_n, 49, ephemeral));
  }
  for (int log_n : {12, 15, 18}) {
    EXPECT_TRUE(refused(log_n, 48, ephemeral)) << log_n;
    EXPECT_TRUE(refused(log_n, 48, usual)) << log_n;
  }
}

// What counts is the modulus of each key, not that of all primes that some key uses.
TEST(Security, EveryKeyIsBelowTheLimit) {
  const ParametersSpec spec{.log_n = 16, .ciphertext_primes = 24, .special_primes = 13, .primes_at_once = 36};
  EXPECT_LE(Parameters::create(spec).log2_qp(), 1747);
  EXPECT_GT(Parameters::create(spec).log2_qp(), 36 * 47.9);
  EXPECT_NO_THROW(require_secure(spec, {{{24, 10}, {23, 13}}, {}}));
  EXPECT_TRUE(test::refuses([&] { require_secure(spec, {{{24, 13}}, {}}); }, {"so many primes"}));
  ParametersSpec wrong = spec;
  wrong.primes_at_once = 37;
  EXPECT_TRUE(test::refuses([&] { Parameters::create(wrong); }, {"1776"}));
  wrong.primes_at_once = 24;
  EXPECT_TRUE(test::refuses([&] { Parameters::create(wrong); }, {"out of range"}))
      << "a public key has a special prime beside those of a fresh ciphertext";
}

// Plans of one ring have the same primes, however many of either sort: they can share keys.
TEST(Parameters, PrimesOfARing) {
  const ParametersSpec few{.log_n = 16, .ciphertext_primes = 3, .special_primes = 2},
      many{.log_n = 16, .ciphertext_primes = 20, .special_primes = 10};
  const auto a = primes_of(few), b = primes_of(many);
  ASSERT_EQ(a.size(), 5u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(a[i], b[i]);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(a[3 + i], b[20 + i]);
  std::vector<std::uint64_t> sorted = b;
  std::ranges::sort(sorted);
  EXPECT_EQ(std::ranges::adjacent_find(sorted), sorted.end());
  EXPECT_GT(b[20], b[0]) << "special primes are the largest";
}

// What only goes wrong in long transforms is found before it spoils a result.
TEST(Parameters, RingsTestTheirTransforms) {
  simd::Kernels broken = simd::scalar_kernels();
  broken.ntt = [](std::uint64_t* x, const simd::NttView& t) {
    simd::scalar_kernels().ntt(x, t);
    if (t.n > 1024) x[t.n - 1] ^= 1;
  };
  EXPECT_TRUE(simd::self_test(broken)) << "short ones are right";
  const Parameters p = Parameters::create({.log_n = 14, .ciphertext_primes = 5, .special_primes = 2});
  EXPECT_TRUE(test::fails_with([&] { (void)p.make_ring(broken); }, ErrorCode::internal, {"transforms"}));
  EXPECT_NO_THROW((void)p.make_ring(simd::select_kernels()));
}

TEST(Security, TheKeyToTheEphemeralSecretStaysUnderItsModulus) {
  const ParametersSpec spec{.log_n = 16, .ciphertext_primes = 20, .special_primes = 10};
  const std::vector<KeyTier> tiers{{20, 10}, {1, 1, true}};
  const auto refused = [&](int tier, std::uint64_t galois_element) {
    return test::refuses([&] { require_secure(spec, {tiers, {{tier, galois_element}}}); }, {"ephemeral"});
  };
  EXPECT_FALSE(refused(1, kToEphemeral));
  EXPECT_TRUE(refused(0, kToEphemeral)) << "whatever the tier calls itself";
  EXPECT_FALSE(refused(0, kFromEphemeral)) << "this one is held by the dense secret";
}

TEST(Parameters, AcceptsASetInsideTheTable) {
  const Parameters p = Parameters::create({.log_n = 16, .ciphertext_primes = 20, .special_primes = 10});
  EXPECT_EQ(p.security_bits(), 128);
  EXPECT_LE(p.log2_qp(), 1440.0);
  EXPECT_GT(p.log2_qp(), 1439.0);
  for (std::uint64_t q : p.primes()) {
    EXPECT_TRUE(ring::is_prime(q));
    EXPECT_EQ(q % (1u << 18), 1u);
  }
}

void expect_refused(const ParametersSpec& spec) {
  try {
    Parameters::create(spec);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::bad_input) << e.what();
  }
}

TEST(Parameters, RefusesWhatTheTableDoesNotCover) {
  expect_refused({.log_n = 16, .ciphertext_primes = 27, .special_primes = 10});  // 1776 bits
  expect_refused({.log_n = 15, .ciphertext_primes = 15, .special_primes = 4});   // 912 bits
  expect_refused({.log_n = 11, .ciphertext_primes = 1, .special_primes = 1});    // no row
  expect_refused({.log_n = 18, .ciphertext_primes = 1, .special_primes = 1});
  expect_refused({.log_n = 16, .ciphertext_primes = 0, .special_primes = 1});
  expect_refused({.log_n = 16, .ciphertext_primes = 20, .special_primes = -1});
  expect_refused({.log_n = 16, .ciphertext_primes = 20, .special_primes = 10, .prime_bits = 50});
  // Rank 2^17 has too few primes of 24 bits.
  expect_refused({.log_n = 17, .ciphertext_primes = 10, .special_primes = 1, .prime_bits = 30, .small_primes = 4});
}

// The ranges that ParametersSpec names, at both ends of each. Rank 2^17 leaves room for many primes.
TEST(Parameters, RangesEndWhereTheySay) {
  const auto accepted = [](int ciphertext_primes, int special_primes, int prime_bits, int at_once = 0) {
    return !test::refuses(
        [&] {
          Parameters::create({.log_n = 17,
                              .ciphertext_primes = ciphertext_primes,
                              .special_primes = special_primes,
                              .prime_bits = prime_bits,
                              .primes_at_once = at_once});
        },
        {"out of range"});
  };
  EXPECT_TRUE(accepted(1, 1, 48));
  EXPECT_TRUE(accepted(64, 1, 48));
  EXPECT_FALSE(accepted(65, 1, 48));
  EXPECT_FALSE(accepted(0, 1, 48));
  EXPECT_TRUE(accepted(40, kMostSpecialPrimes, 48));
  EXPECT_FALSE(accepted(40, kMostSpecialPrimes + 1, 48));
  EXPECT_FALSE(accepted(40, 0, 48));
  EXPECT_TRUE(accepted(1, 1, 30));
  EXPECT_FALSE(accepted(1, 1, 29));
  EXPECT_FALSE(accepted(1, 1, 49));
  EXPECT_TRUE(accepted(40, 10, 48, 41));
  EXPECT_FALSE(accepted(40, 10, 48, 40)) << "a public key has a special prime beside those of a fresh ciphertext";
  EXPECT_FALSE(accepted(40, 10, 48, -1));
}

}  // namespace
}  // namespace sotto::ckks
