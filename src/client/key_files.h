#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "plan/client_spec.h"
#include "secret/secret_key.h"

namespace sotto::client {

/// Called with the work done and the work in all.
using ProgressFn = std::function<void(std::size_t done, std::size_t total)>;

/// A client's side of the cryptography for one plan.
struct Keys {
  ckks::Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  secret::SecretKey secret;
};

/// Makes a secret key and the evaluation keys that the plan asks for: DIR/secret.key (mode 0600) and DIR/eval.key.
/// Throws Error{usage} if DIR/secret.key exists and `replace` is not set: without it, old results could never be
/// decrypted.
void make_keys(const plan::ClientSpec& spec, const ckks::Parameters& parameters, const std::filesystem::path& dir,
               bool replace, const ProgressFn& progress);

/// Reads DIR/secret.key. Throws Error{wrong_key} if it was made for another plan.
Keys read_keys(const plan::ClientSpec& spec, ckks::Parameters parameters, const std::filesystem::path& dir);

}  // namespace sotto::client
