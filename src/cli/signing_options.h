#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "ckks/key_file.h"
#include "signing/signing_key.h"

namespace sotto::cli {

/// A verification key: 64 hexadecimal digits, or a file that holds the signing key to it. Throws Error{bad_input} for
/// anything else.
signing::VerificationKey read_verification_key(const std::string& digits_or_file);

/// The key in a file, kept from other programs as secret keys are; nothing for an empty path. Throws Error{bad_input}
/// for a damaged file.
std::shared_ptr<const signing::SigningKey> read_signing_key(const std::string& path);

/// What a server that computes signs with, and whom it serves.
struct ServingOptions {
  std::string signing_key;
  std::string client;  ///< key id; empty: anyone

  /// Adds --signing-key and --client.
  void add_options(CLI::App& verb);
  /// Throws Error{wrong_key} if the keys are of someone else than the client.
  void require_client(const ckks::KeyFile& keys) const;
};

}  // namespace sotto::cli
