// sotto-server: the verbs of the owner of the model. This program holds no code for secret keys.
#include "cli/console.h"
#include "cli/verbs.h"

int main(int argc, char** argv) {
  return sotto::cli::guarded_main("sotto", [&] {
    CLI::App app("Sotto: neural networks on batches of encrypted images (server side)", "sotto-server");
    sotto::cli::add_compile(app);
    sotto::cli::add_plan(app);
    sotto::cli::add_infer(app);
    sotto::cli::add_server_train(app);
    sotto::cli::add_signing_key(app);
    return sotto::cli::parse_and_run(app, argc, argv);
  });
}
