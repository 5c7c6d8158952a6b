#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/verbs.h"

namespace sotto::cli {
namespace {

// What is wrong with a command line. The parser says what is missing before it says what it did not understand, which
// is the more likely mistake: a misspelt verb or option.
std::string reason(const CLI::App& app, const CLI::ParseError& e) {
  const auto unknown = app.remaining(true);
  if (unknown.empty()) return e.what();
  return (app.get_subcommands().empty() ? "unknown verb '" : "unknown option or argument '") + unknown.front() + "'";
}

}  // namespace

int parse_and_run(CLI::App& app, int argc, char** argv) {
  app.require_subcommand(1);
  app.set_version_flag("--version", "sotto " SOTTO_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& e) {  // a verb ran and gives its exit code
    return e.get_exit_code();
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    throw Error(ErrorCode::usage,
                reason(app, e) + " (sotto --help lists the verbs, sotto VERB --help their options)");
  }
  return 0;
}

}  // namespace sotto::cli
