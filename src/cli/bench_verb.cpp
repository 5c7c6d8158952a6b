#include "cli/verbs.h"

namespace sotto::cli {
void add_bench(CLI::App&) {}
}  // namespace sotto::cli
