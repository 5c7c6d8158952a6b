#pragma once

#include <memory>
#include <string>

#include "encrypt/public_key_file.h"
#include "inputs/write_input.h"

namespace sotto::inputs {

/// Someone who encrypts images for the owner of a key. Has no secret, and cannot decrypt what it made.
class Encryptor {
 public:
  /// parameters: those of the plan. Throws Error{bad_input} for a damaged public key, Error{wrong_key} for one of
  /// another ring or too short for the plan.
  Encryptor(plan::ClientSpec spec, const ckks::Parameters& parameters, const Source& public_key);

  /// Of the owner's secret key.
  [[nodiscard]] const std::string& key_id() const { return key_id_; }
  [[nodiscard]] const plan::ClientSpec& spec() const { return spec_; }

  /// See write_input. The file is twice as large as one that the owner makes: both polynomials of every ciphertext are
  /// in it. signer: whose key signs it, if any.
  InputName encrypt(std::span<const std::vector<double>> images, const Sink& sink, const ProgressFn& progress,
                    const signing::SigningKey* signer = nullptr) const;

 private:
  Encryptor(plan::ClientSpec spec, const ckks::Parameters& parameters, const encrypt::PublicKeyFile& file);

  plan::ClientSpec spec_;
  std::string key_id_;
  std::shared_ptr<const ring::Ring> ring_;
  encrypt::PublicEncryption encryption_;
};

}  // namespace sotto::inputs
