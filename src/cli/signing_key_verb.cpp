#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/console.h"
#include "cli/signing_options.h"
#include "cli/step_report.h"
#include "cli/verbs.h"
#include "wire/signing_key_file.h"

namespace sotto::cli {

namespace {

struct SigningKeyOptions {
  std::string file;
  StepReport report;
};

int run(SigningKeyOptions& o) {
  o.report.start();
  std::error_code unknown;
  const bool fresh = !std::filesystem::exists(o.file, unknown);
  if (fresh) {
    hide_memory();
    wire::write_signing_key(o.file, signing::SigningKey::generate());
  }
  const std::string key = signing::to_text(read_signing_key(o.file)->verification_key());
  o.report.add("new_signing_key", fresh);
  o.report.add("verification_key", key);
  o.report.write();
  if (o.report.streamed()) return 0;
  if (fresh) fmt::print("wrote {} (keep it secret)\n", o.file);
  fmt::print("verification key {}\n", key);
  return 0;
}

}  // namespace

void add_signing_key(CLI::App& app) {
  auto* verb = app.add_subcommand("signing-key", "Make a key that signs, or show what checks its signatures");
  auto o = std::make_shared<SigningKeyOptions>();
  verb->add_option("FILE", o->file, "The signing key; made if it is not there")->required();
  o->report.add_option(*verb);
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
