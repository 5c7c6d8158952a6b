#pragma once

#include <string>

#include "encrypt/public_key.h"
#include "sotto/io.h"
#include "wire/reader.h"

namespace sotto::encrypt {

/// Writes a public key (docs/formats/keys.md). owner: of the secret key, signs it; ring: its parameters.
void write_public_key(const Sink& sink, const ring::Ring& ring, const ckks::ParametersSpec& parameters,
                      const PublicKey& key, const signing::SigningKey& owner);

/// A public key in a file. It belongs to an owner and a ring, and serves every plan of that ring that it is long enough
/// for.
class PublicKeyFile {
 public:
  /// Throws Error{bad_input} for a damaged file, Error{wrong_key} for one that its owner did not sign.
  explicit PublicKeyFile(const Source& source);

  /// Of the owner, who signed it.
  [[nodiscard]] const std::string& key_id() const { return key_id_; }
  [[nodiscard]] const std::string& name() const { return file_.name(); }
  /// Whether it is of the ring of these parameters, and if it is, encrypts messages of this many limbs.
  [[nodiscard]] bool same_ring(const ckks::ParametersSpec& parameters) const;
  [[nodiscard]] bool serves(const ckks::ParametersSpec& parameters, int message_limbs) const;
  /// The part of the key that messages of so many limbs need. Throws Error{wrong_key} if it does not serve them,
  /// Error{bad_input} if it is damaged.
  [[nodiscard]] PublicKey read(const ring::Ring& ring, const ckks::ParametersSpec& parameters, int message_limbs) const;

 private:
  wire::FileReader file_;
  std::string key_id_;
  ckks::ParametersSpec ring_;  // numbers of primes mean nothing
  int limbs_ = 0;
  ckks::Seed seed_{};
};

}  // namespace sotto::encrypt
