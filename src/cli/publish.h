#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "cli/exit_codes.h"
#include "cli/result_origin.h"
#include "cli/step_report.h"

namespace sotto::cli {

/// How `decrypt --publish` makes results that may be given away.
struct PublishOptions {
  std::string what = {};  ///< "labels" or "scores"; empty: nothing is published
  double key_bits = 100;
  double statistical_bits = 0;  ///< in place of key_bits; 0: not asked for
  int releases = 1;
};

/// Adds --publish, --key-bits, --statistical-bits and --releases.
void add_publish_options(CLI::App& verb, PublishOptions& options);

/// What is published, and where it goes; empty: nowhere.
struct PublishRequest {
  std::string client, keys, in, npy, csv;
  bool strict = false;
  OriginOptions origin;
};

/// Writes what may be given away and nothing else; what is for the owner goes to stderr. Returns the exit code.
/// dir: the folder of the keys, which remembers releases.
int publish(const PublishRequest& request, const PublishOptions& options, const std::filesystem::path& dir,
            StepReport& report);

}  // namespace sotto::cli
