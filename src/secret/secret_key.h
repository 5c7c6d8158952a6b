#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/secret_memory.h"
#include "ckks/parameters.h"

namespace sotto::secret {

/// A uniform ternary secret s, expanded from 32 random bytes. Cannot be copied; wiped when destroyed.
class SecretKey {
 public:
  static constexpr std::size_t kSeedBytes = 32;

  /// A fresh key from the operating system's generator.
  static SecretKey generate(std::shared_ptr<const ring::Ring> ring);
  /// The key that these 32 bytes stand for.
  static SecretKey from_seed(std::shared_ptr<const ring::Ring> ring, const SecretArray<unsigned char>& seed);

  /// What a key file stores.
  [[nodiscard]] const SecretArray<unsigned char>& seed() const { return seed_; }
  /// 32 hexadecimal digits that identify the key and reveal nothing of it (BLAKE2b of a fixed text, keyed with the
  /// seed).
  [[nodiscard]] const std::string& id() const { return id_; }
  /// s modulo prime i, transformed; n words.
  [[nodiscard]] SecretArray<std::uint64_t> values(std::size_t i) const;
  [[nodiscard]] const ring::Ring& ring() const { return *ring_; }

 private:
  SecretKey(std::shared_ptr<const ring::Ring> ring, SecretArray<unsigned char> seed);

  std::shared_ptr<const ring::Ring> ring_;
  SecretArray<unsigned char> seed_;
  SecretArray<std::int8_t> coefficients_;
  std::string id_;
};

/// Fills dst with uniform values from {-1, 0, 1}.
void sample_ternary(SecretArray<std::int8_t>& dst);

/// Fills dst, whose size is a power of two, with an ephemeral secret of bootstrapping: ckks::kEphemeralWeight distinct
/// places hold 1 or -1, the others 0, all uniform.
void sample_sparse(SecretArray<std::int8_t>& dst);

/// Fills dst with a rounded Gaussian of standard deviation 3.19 (64-bit cumulative table, constant time).
void sample_error(SecretArray<std::int8_t>& dst);

/// Small signed coefficients modulo prime i, transformed.
SecretArray<std::uint64_t> to_values(const ring::Ring& ring, const SecretArray<std::int8_t>& coefficients,
                                     std::size_t i);

}  // namespace sotto::secret
