#include <fmt/format.h>

#include <array>
#include <memory>

#include "base/error.h"
#include "cli/console.h"
#include "cli/signing_options.h"
#include "cli/verbs.h"
#include "engine/server.h"
#include "plan/plan_file.h"
#include "wire/atomic_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace fs = std::filesystem;

namespace {

struct InferOptions {
  std::string plan, key, in, out, public_key, memory, scratch, stats;
  int threads = 0, at_once = 0;
  ServingOptions serving;
};

nlohmann::json step_times(const plan::Plan& plan, const std::vector<runtime::StepTime>& times) {
  nlohmann::json steps = nlohmann::json::array();
  for (std::size_t s = 0; s < times.size(); ++s)
    steps.push_back({{"name", plan.steps[s].name},
                     {"rotate_seconds", times[s].rotate},
                     {"linear_seconds", times[s].linear},
                     {"activate_seconds", times[s].activate},
                     {"disk_seconds", times[s].disk}});
  return steps;
}

// What would otherwise fail after hours of work.
void require_places(const InferOptions& o, const fs::path& scratch, bool moves) {
  wire::require_writable(o.out, wire::Kind::output);
  wire::require_outputs({}, std::array{o.stats});
  wire::require_distinct(o.stats, o.out);
  if (moves || !o.scratch.empty()) runtime::ScratchFile(scratch, 1).take();
}

int run(const InferOptions& o) {
  const int threads = set_threads(o.threads);
  const fs::path scratch = o.scratch.empty() ? fs::absolute(o.out).parent_path() : fs::path(o.scratch);
  engine::Server server(plan::read_plan(o.plan),
                        {o.memory.empty() ? 0 : parse_bytes(o.memory), threads, o.at_once, false, scratch,
                         read_signing_key(o.serving.signing_key), !o.serving.client.empty()});
  require_places(o, scratch, server.cost().residency.has_value());
  const auto keys = server.open_keys(o.key);
  o.serving.require_client(*keys);
  ProgressLine line("inference");
  engine::InferenceHooks hooks;
  hooks.stop = &stop_requested();
  hooks.progress = [&](const engine::InferenceProgress& p) {
    line.update(p.done, p.batches > 1 ? fmt::format("batch {} of {}, {}", p.batch + 1, p.batches, p.what) : p.what);
  };
  const auto public_key = o.public_key.empty() ? std::nullopt : std::optional<Source>(o.public_key);
  const engine::InferenceReport report = server.infer(o.in, *keys, o.out, hooks, public_key);
  line.update(1.0, report.batches_of_an_earlier_run > 0 ? fmt::format("{} of {} batches were there from an earlier run",
                                                                      report.batches_of_an_earlier_run, report.batches)
                                                        : "");
  if (!o.stats.empty()) {
    const nlohmann::json stats = {{"threads", threads},
                                  {"cpu_kernels", server.ring().kernels().name},
                                  {"seconds", line.seconds()},
                                  {"read_seconds", report.read_seconds},
                                  {"compute_seconds", report.compute_seconds},
                                  {"write_seconds", report.write_seconds},
                                  {"images", report.images},
                                  {"batches", report.batches},
                                  {"input_bytes", fs::file_size(o.in)},
                                  {"eval_key_bytes", fs::file_size(o.key)},
                                  {"output_bytes", fs::file_size(o.out)},
                                  {"batches_of_an_earlier_run", report.batches_of_an_earlier_run},
                                  {"pool_bytes", server.ring().pool_bytes()},
                                  {"peak_rss_bytes", peak_memory()},
                                  {"predicted_peak_bytes", report.predicted_peak_bytes},
                                  {"batches_at_once", report.batches_at_once},
                                  {"steps", step_times(server.plan(), report.steps)}};
    wire::write_file(o.stats, stats.dump(2) + "\n");
  }
  return 0;
}

}  // namespace

void add_infer(CLI::App& app) {
  auto* verb = app.add_subcommand("infer", "Run a plan on encrypted images; needs no secret");
  auto o = std::make_shared<InferOptions>();
  verb->add_option("PLAN", o->plan, "NAME.plan")->required();
  verb->add_option("--eval-key", o->key, "The client's eval.key")->required();
  verb->add_option("--in", o->in, "Encrypted images")->required();
  verb->add_option("--out", o->out, "Where the encrypted scores go")->required();
  verb->add_option("--public-key", o->public_key,
                   "The client's public.key: encrypt scores anew, so that less of the model shows (SECURITY.md)");
  verb->add_option("--threads", o->threads, "Threads (default: all)")->check(CLI::Range(1, 1024));
  verb->add_option("--batches-at-once", o->at_once,
                   "Most batches in flight, memory permitting (default: what keeps all threads busy)")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--memory", o->memory, "Most memory to use, e.g. 8G");
  verb->add_option("--scratch", o->scratch,
                   "Folder for what --memory leaves no room for (default: that of the output)");
  o->serving.add_options(*verb);
  verb->add_option("--json,--stats", o->stats, "Write times per layer, bytes and memory here (JSON)");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
