#include "ckks/security.h"

namespace sotto::ckks {

namespace {
using Level = SecurityLevel;
using Secret = SecretDistribution;

constexpr std::string_view kClassical =
    "Bossuat et al., Security Guidelines for Implementing Homomorphic Encryption, ia.cr/2024/463, table 5.2: ternary "
    "secret";
constexpr std::string_view kQuantum =
    "quantum column of the tables that the scripts of ia.cr/2024/463 make (github.com/HomomorphicEncryption/"
    "SparseLWEkit, Security): ternary secret";
constexpr std::string_view kEncapsulation =
    "Bossuat, Troncoso-Pastoriza, Hubaux, ia.cr/2022/024: sparse-secret encapsulation, weight 32; docs/adr/0016";

// The Homomorphic Encryption Standard 1.1 (2018) allows 109, 218 and 438 bits in the first rows, and more against
// quantum computers in all (101, 202, 411, 827); the newer, smaller bounds hold here.
constexpr SecurityRow kRows[] = {
    {Level::classical128, 12, Secret::ternary, 106, 128, kClassical},
    {Level::classical128, 13, Secret::ternary, 214, 128, kClassical},
    {Level::classical128, 14, Secret::ternary, 430, 128, kClassical},
    {Level::classical128, 15, Secret::ternary, 868, 128, kClassical},
    {Level::classical128, 16, Secret::ternary, 1747, 128, kClassical},
    {Level::classical128, 17, Secret::ternary, 3523, 128, kClassical},
    {Level::classical128, 16, Secret::ephemeral, 96, 128, kEncapsulation},
    {Level::classical128, 17, Secret::ephemeral, 96, 128, kEncapsulation},
    {Level::classical192, 12, Secret::ternary, 73, 192, kClassical},
    {Level::classical192, 13, Secret::ternary, 147, 192, kClassical},
    {Level::classical192, 14, Secret::ternary, 297, 192, kClassical},
    {Level::classical192, 15, Secret::ternary, 597, 192, kClassical},
    {Level::classical192, 16, Secret::ternary, 1199, 192, kClassical},
    {Level::classical192, 17, Secret::ternary, 2411, 192, kClassical},
    {Level::quantum128, 12, Secret::ternary, 80, 128, kQuantum},
    {Level::quantum128, 13, Secret::ternary, 161, 128, kQuantum},
    {Level::quantum128, 14, Secret::ternary, 322, 128, kQuantum},
    {Level::quantum128, 15, Secret::ternary, 644, 128, kQuantum},
    {Level::quantum128, 16, Secret::ternary, 1289, 128, kQuantum},
    {Level::quantum128, 17, Secret::ternary, 2578, 128, kQuantum},
};
}  // namespace

std::span<const SecurityRow> security_table() { return kRows; }

const SecurityRow* find_security_row(int log_n, SecretDistribution secret, SecurityLevel level) {
  for (const SecurityRow& row : kRows)
    if (row.log_n == log_n && row.secret == secret && row.level == level) return &row;
  return nullptr;
}

}  // namespace sotto::ckks
