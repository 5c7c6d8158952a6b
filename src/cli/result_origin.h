#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/step_report.h"
#include "client/origin.h"

namespace sotto::cli {

/// Where the user says that results must come from.
struct OriginOptions {
  std::string signer, input, input_signer;

  /// Adds --signer, --for and --from.
  void add_options(CLI::App& verb);
};

/// What must hold for the results in a file: what the options say, and what is noted beside the key of the input that
/// they name. keys: as for --keys; key_id: of the secret key. Throws
/// Error{bad_input, wrong_key} for files that cannot be read, Error{wrong_key} for an input of another key.
client::Origin expected_origin(const OriginOptions& options, const std::string& results, const std::string& keys,
                               const std::string& key_id);

/// What the user should know of results that were decrypted: that someone else encrypted the input, or that it is not
/// the first time. Their input and signer go to the report.
void note_origin(const std::string& keys, const std::string& key_id, const client::ResultFile& file,
                 StepReport& report);

}  // namespace sotto::cli
