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

// An empty value is a script's variable that was not set, not an option that was left out: what it asks for, a
// signature say, must not be skipped.
void refuse_empty_values(CLI::App& app) {
  const CLI::Validator not_empty([](const std::string& text) { return text.empty() ? "an empty value" : ""; }, "");
  for (CLI::Option* option : app.get_options({})) option->check(not_empty);
  for (CLI::App* verb : app.get_subcommands({})) refuse_empty_values(*verb);
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
  refuse_empty_values(app);
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
