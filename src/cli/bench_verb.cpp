#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/benchmarks.h"
#include "cli/console.h"
#include "cli/verbs.h"

namespace sotto::cli {

namespace {

struct BenchOptions {
  std::vector<std::string> names;
  int threads = 1;
  bool as_json = false;
};

int run(const BenchOptions& o) {
  const int threads = set_threads(o.threads);
  nlohmann::json results = nlohmann::json::array();
  for (const Benchmark& b : benchmarks()) {
    if (!o.names.empty() && std::find(o.names.begin(), o.names.end(), b.name) == o.names.end()) continue;
    for (nlohmann::json& r : b.run()) {
      r["benchmark"] = b.name;
      r["threads"] = threads;
      if (!o.as_json) {
        fmt::print("{}", b.name);
        for (const auto& [key, value] : r.items())
          if (key != "benchmark" && key != "threads")
            fmt::print("  {} {}", key,
                       value.is_number_float() ? fmt::format("{:.6g}", value.get<double>()) : value.dump());
        fmt::print("\n");
      }
      results.push_back(std::move(r));
      check_stop();
    }
  }
  if (o.as_json) fmt::print("{}\n", results.dump(2));
  return 0;
}

}  // namespace

void add_bench(CLI::App& app) {
  auto* verb = app.add_subcommand("bench", "Time the parts of the engine; every benchmark checks its own result");
  auto o = std::make_shared<BenchOptions>();
  std::vector<std::string> names;
  for (const Benchmark& b : benchmarks()) names.push_back(b.name);
  verb->add_option("NAME", o->names, "Which ones (default: all)")->check(CLI::IsMember(names));
  verb->add_option("--threads", o->threads, "Threads (default 1)")->check(CLI::Range(1, 1024));
  verb->add_flag("--json", o->as_json, "JSON instead of lines");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
