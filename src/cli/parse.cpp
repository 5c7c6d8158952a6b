#include <fmt/format.h>

#include <charconv>
#include <iostream>

#include "base/error.h"
#include "cli/verbs.h"

namespace sotto::cli {
namespace {

// What is wrong with a command line. The parser says what is missing before it says what it did not understand, which
// is the more likely mistake: a misspelt verb or option.
std::string reason(const CLI::App& app, const CLI::ParseError& e) {
  for (const std::string& word : app.remaining(true)) {
    if (word == "--") continue;
    const bool option = word.starts_with('-'), verb = app.get_subcommands().empty();
    return std::string("unknown ") + (option ? "option" : verb ? "verb" : "argument") + " '" + word + "'";
  }
  return e.what();
}

}  // namespace

CLI::Validator image_number() {
  return {[](std::string& text) -> std::string {
            std::uint64_t value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, error] = std::from_chars(text.data(), end, value);
            return error == std::errc() && stop == end ? "" : "'" + text + "' is not a number of images";
          },
          "NUMBER"};
}

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
    throw Error(ErrorCode::usage, reason(app, e) + " (sotto --help lists the verbs, sotto VERB --help their options)");
  }
  return 0;
}

}  // namespace sotto::cli
