#pragma once

#include <span>
#include <string_view>

#include "ckks/security_level.h"

namespace sotto::ckks {

/// How the coefficients of a secret key are drawn.
enum class SecretDistribution {
  ternary,    ///< uniform over {-1, 0, 1}
  ephemeral,  ///< kEphemeralWeight coefficients are 1 or -1, the others 0
};

/// Coefficients of the ephemeral secret of bootstrapping that are not zero.
inline constexpr int kEphemeralWeight = 32;

/// One row of the table: at this level, ring rank and secret distribution, the modulus of all published key material
/// (log2 of Q P) may not exceed `max_log2_qp`. Error width sigma = 3.19 throughout.
struct SecurityRow {
  SecurityLevel level;
  int log_n;
  SecretDistribution secret;
  double max_log2_qp;
  int bits;  ///< of the level
  std::string_view source;
};

/// All rows that Sotto accepts. The rank of the conjugate-invariant ring counts as n: its samples are ordinary
/// n-dimensional RLWE samples of the real subfield, with no better attack known than on the LWE instance of that
/// dimension (ePrint 2018/952, section 5; docs/adr/0002).
std::span<const SecurityRow> security_table();

/// The row for a ring of rank 2^log_n, or null if the table has none.
const SecurityRow* find_security_row(int log_n, SecretDistribution secret,
                                     SecurityLevel level = SecurityLevel::classical128);

/// Whether plans of this level can be bootstrapped: the table has a row for the ephemeral secret.
inline bool has_bootstrapping(int log_n, SecurityLevel level) {
  return find_security_row(log_n, SecretDistribution::ephemeral, level) != nullptr;
}

}  // namespace sotto::ckks
