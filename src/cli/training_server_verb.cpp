#include <fmt/format.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include "cli/console.h"
#include "cli/signing_options.h"
#include "cli/training.h"
#include "cli/verbs.h"
#include "engine/trainer.h"
#include "lowering/plan_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace fs = std::filesystem;

namespace {

struct TrainOptions {
  std::string plan, key, in, out, memory, stats;
  int threads = 0;
  ServingOptions serving;
};

int run(const TrainOptions& o) {
  const int threads = set_threads(o.threads);
  engine::ServerOptions options;
  options.memory = o.memory.empty() ? 0 : parse_bytes(o.memory);
  options.threads = threads;
  options.signer = read_signing_key(o.serving.signing_key);
  options.owners_only = !o.serving.client.empty();
  engine::Trainer trainer(lowering::read_training_plan(o.plan, wire::Kind::plan), options);
  const plan::Speed speed =
      plan::measure_speed(trainer.plan().parameters.log_n, trainer.plan().parameters.kind, threads);
  wire::require_writable(o.out, wire::Kind::output);
  wire::require_outputs({}, std::array{o.stats});
  wire::require_distinct(o.stats, o.out);
  const auto keys = trainer.open_keys(o.key);
  o.serving.require_client(*keys);
  std::optional<ProgressLine> features, line;  // each begins with its work
  const auto start = std::chrono::steady_clock::now();
  engine::TrainingHooks hooks;
  hooks.stop = &stop_requested();
  hooks.progress = [&](const engine::TrainingProgress& p) {
    std::optional<ProgressLine>& current = p.features ? features : line;
    if (!current) current.emplace(p.features ? "features" : "training");
    current->update(p.done, fmt::format("{} {} of {}", p.features ? "run" : "step", p.step + 1, p.steps));
  };
  const engine::TrainingReport report = trainer.train(o.in, *keys, o.out, hooks);
  if (!line) line.emplace("training");
  line->update(1.0, report.steps_of_an_earlier_run > 0 ? fmt::format("{} of {} steps were there from an earlier run",
                                                                     report.steps_of_an_earlier_run, report.steps)
                                                       : "");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!o.stats.empty()) wire::write_file(o.stats, to_json(report, trainer, speed, threads, seconds).dump(2) + "\n");
  return 0;
}

}  // namespace

void add_server_train(CLI::App& app) {
  auto* verb = app.add_subcommand("train", "Train a network on encrypted images; needs no secret");
  auto o = std::make_shared<TrainOptions>();
  verb->add_option("PLAN", o->plan, "NAME.plan, made with compile --train")->required();
  verb->add_option("--eval-key", o->key, "The owner's eval.key")->required();
  verb->add_option("--in", o->in, "Encrypted images and labels")->required();
  verb->add_option("--out", o->out,
                   "Where the encrypted weights go; OUT.part keeps finished steps, from which the same command goes on")
      ->required();
  verb->add_option("--threads", o->threads, "Threads (default: all)")->check(CLI::Range(1, 1024));
  verb->add_option("--memory", o->memory, "Most memory to use, e.g. 20G");
  o->serving.add_options(*verb);
  verb->add_option("--json,--stats", o->stats, "Write times, bytes and memory here (JSON)");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
