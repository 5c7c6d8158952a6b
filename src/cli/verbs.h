#pragma once

#include <CLI/CLI.hpp>

namespace sotto::cli {

// Each function adds one verb of the command-line contract to `app`; its callback does the work.
void add_compile(CLI::App& app);
void add_plan(CLI::App& app);
void add_infer(CLI::App& app);
void add_server_train(CLI::App& app);
void add_signing_key(CLI::App& app);
void add_train(CLI::App& app);
void add_keygen(CLI::App& app);
void add_encrypt(CLI::App& app);
void add_decrypt(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_bench(CLI::App& app);

/// A number of images: decimal digits, below 2^64.
CLI::Validator image_number();

/// Parses and runs; prints help or usage errors. Returns the exit code.
int parse_and_run(CLI::App& app, int argc, char** argv);

}  // namespace sotto::cli
