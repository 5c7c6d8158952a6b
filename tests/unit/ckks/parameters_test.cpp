#include "ckks/parameters.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "ckks/security.h"
#include "ring/primes.h"

namespace sotto::ckks {
namespace {

TEST(Security, EveryRowNamesItsSourceAndSecret) {
  for (const SecurityRow& row : security_table()) {
    EXPECT_FALSE(row.source.empty());
    EXPECT_GE(row.bits, 128);
    EXPECT_EQ(row.secret, SecretDistribution::ternary);
  }
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
}

}  // namespace
}  // namespace sotto::ckks
