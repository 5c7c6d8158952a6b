// sotto: all verbs. Those of the server run in sotto-server, a program without any code for secret keys.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "cli/console.h"
#include "cli/verbs.h"

namespace {

constexpr std::array kServerVerbs = {"compile", "plan", "infer", "signing-key"};

bool is_server_verb(const char* verb) {
  for (const char* v : kServerVerbs)
    if (std::strcmp(v, verb) == 0) return true;
  return false;
}

// `train` is a verb of both programs: with evaluation keys it is the server's part.
bool is_server_train(int argc, char** argv) {
  return argc > 1 && std::strcmp(argv[1], "train") == 0 && std::any_of(argv + 2, argv + argc, [](const char* a) {
           return std::string_view(a).starts_with("--eval-key");
         });
}

}  // namespace

int main(int argc, char** argv) {
  return sotto::cli::guarded_main("sotto", [&] {
    if (argc > 1 && (is_server_verb(argv[1]) || is_server_train(argc, argv))) {
      const auto program = sotto::cli::program_folder() / "sotto-server";
      ::execv(program.c_str(), argv);
      throw sotto::Error(sotto::ErrorCode::internal, "cannot start " + program.string() + ": " + std::strerror(errno));
    }
    sotto::cli::hide_memory();
    CLI::App app("Sotto: neural networks on batches of encrypted images", "sotto");
    sotto::cli::add_compile(app);
    sotto::cli::add_plan(app);
    sotto::cli::add_infer(app);
    sotto::cli::add_signing_key(app);
    sotto::cli::add_keygen(app);
    sotto::cli::add_encrypt(app);
    sotto::cli::add_decrypt(app);
    sotto::cli::add_evaluate(app);
    sotto::cli::add_train(app);
    sotto::cli::add_bench(app);
    return sotto::cli::parse_and_run(app, argc, argv);
  });
}
