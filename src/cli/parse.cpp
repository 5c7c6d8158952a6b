#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/verbs.h"

namespace sotto::cli {

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
                std::string(e.what()) + " (sotto --help lists the verbs, sotto VERB --help their options)");
  }
  return 0;
}

}  // namespace sotto::cli
