#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/secret_memory.h"
#include "ckks/parameters.h"
#include "signing/signing_key.h"

namespace sotto::secret {

class SecretKey;

/// What the owner of images keeps secret: 32 random bytes, from which the secret of every ring is derived. One of them
/// serves all plans and batch sizes. Cannot be copied; wiped when destroyed.
class OwnerKey {
 public:
  static constexpr std::size_t kBytes = 32;

  /// A fresh key from the operating system's generator.
  static OwnerKey generate();
  /// The key that these 32 bytes are.
  explicit OwnerKey(const SecretArray<unsigned char>& bytes);

  /// What a key file stores.
  [[nodiscard]] const SecretArray<unsigned char>& bytes() const { return bytes_; }
  /// 32 hexadecimal digits that identify the key and reveal nothing of it: signing::identity_of the signing key.
  [[nodiscard]] const std::string& id() const { return id_; }
  /// What its owner signs keys and inputs with. It follows from the bytes (BLAKE2b of a fixed text, keyed with them)
  /// and tells nothing of them.
  [[nodiscard]] signing::SigningKey signing_key() const;

  /// 32 bytes for another purpose (BLAKE2b of both texts, keyed with the bytes), which tell nothing of the key or of
  /// each other. The purpose has at most 16 characters.
  [[nodiscard]] SecretArray<unsigned char> derive(std::string_view purpose, std::string_view what) const;

  /// The secret of this ring: of another dimension or kind of ring it is another, and none tells anything of the others
  /// (BLAKE2b of dimension and kind, keyed with the bytes, is the seed of the coefficients). Rings that differ in their
  /// primes share it: they are moduli of one secret. Every level of security has a secret of its own: one is as safe as
  /// the largest modulus under which anything of it is known.
  [[nodiscard]] SecretKey secret_of(std::shared_ptr<const ring::Ring> ring,
                                    ckks::SecurityLevel level = ckks::SecurityLevel::classical128) const;

 private:
  OwnerKey() : bytes_(kBytes) {}
  void identify();

  SecretArray<unsigned char> bytes_;
  std::string id_;
};

/// A uniform ternary secret s of one ring. Cannot be copied; wiped when destroyed.
class SecretKey {
 public:
  /// The secret of a fresh OwnerKey, which nobody keeps.
  static SecretKey generate(std::shared_ptr<const ring::Ring> ring);

  /// That of the OwnerKey.
  [[nodiscard]] const std::string& id() const { return id_; }
  /// s modulo prime i, transformed; n words.
  [[nodiscard]] SecretArray<std::uint64_t> values(std::size_t i) const;
  [[nodiscard]] const ring::Ring& ring() const { return *ring_; }

 private:
  friend class OwnerKey;
  SecretKey(std::shared_ptr<const ring::Ring> ring, const SecretArray<unsigned char>& seed, std::string id);

  std::shared_ptr<const ring::Ring> ring_;
  SecretArray<std::int8_t> coefficients_;
  std::string id_;
};

/// Fills dst, whose size is a power of two, with an ephemeral secret of bootstrapping: ckks::kEphemeralWeight distinct
/// places hold 1 or -1, the others 0, all uniform.
void sample_sparse(SecretArray<std::int8_t>& dst);

}  // namespace sotto::secret
