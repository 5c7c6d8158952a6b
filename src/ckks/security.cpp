#include "ckks/security.h"

namespace sotto::ckks {

namespace {
constexpr std::string_view kStandard =
    "Homomorphic Encryption Standard 1.1 (2018), table 1: ternary secret, classical, 128 bits";
constexpr std::string_view kGuidelines =
    "Bossuat et al., Security Guidelines for Implementing Homomorphic Encryption, ia.cr/2024/463: ternary secret, 128 bits";

// Where the two sources differ the smaller bound is used.
constexpr SecurityRow kRows[] = {
    {12, SecretDistribution::ternary, 109, 128, kStandard},   {13, SecretDistribution::ternary, 218, 128, kStandard},
    {14, SecretDistribution::ternary, 438, 128, kStandard},   {15, SecretDistribution::ternary, 868, 128, kGuidelines},
    {16, SecretDistribution::ternary, 1747, 128, kGuidelines}, {17, SecretDistribution::ternary, 3523, 128, kGuidelines},
};
}  // namespace

std::span<const SecurityRow> security_table() { return kRows; }

const SecurityRow* find_security_row(int log_n, SecretDistribution secret) {
  for (const SecurityRow& row : kRows)
    if (row.log_n == log_n && row.secret == secret) return &row;
  return nullptr;
}

}  // namespace sotto::ckks
