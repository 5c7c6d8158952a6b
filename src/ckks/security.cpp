#include "ckks/security.h"

namespace sotto::ckks {

namespace {
constexpr std::string_view kGuidelines =
    "Bossuat et al., Security Guidelines for Implementing Homomorphic Encryption, ia.cr/2024/463: ternary secret, 128 "
    "bits";
constexpr std::string_view kEncapsulation =
    "Bossuat, Troncoso-Pastoriza, Hubaux, ia.cr/2022/024: sparse-secret encapsulation, weight 32; docs/adr/0016";

// The Homomorphic Encryption Standard 1.1 (2018) allows 109, 218 and 438 bits in the first rows; the newer, smaller
// bounds hold here.
constexpr SecurityRow kRows[] = {
    {12, SecretDistribution::ternary, 106, 128, kGuidelines},
    {13, SecretDistribution::ternary, 214, 128, kGuidelines},
    {14, SecretDistribution::ternary, 430, 128, kGuidelines},
    {15, SecretDistribution::ternary, 868, 128, kGuidelines},
    {16, SecretDistribution::ternary, 1747, 128, kGuidelines},
    {17, SecretDistribution::ternary, 3523, 128, kGuidelines},
    {16, SecretDistribution::ephemeral, 96, 128, kEncapsulation},
    {17, SecretDistribution::ephemeral, 96, 128, kEncapsulation},
};
}  // namespace

std::span<const SecurityRow> security_table() { return kRows; }

const SecurityRow* find_security_row(int log_n, SecretDistribution secret) {
  for (const SecurityRow& row : kRows)
    if (row.log_n == log_n && row.secret == secret) return &row;
  return nullptr;
}

}  // namespace sotto::ckks
