#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "cli/console.h"
#include "cli/planning.h"
#include "cli/verbs.h"
#include "plan/cost.h"
#include "plan/parallelism.h"
#include "plan/plan_file.h"
#include "runtime/batch_run.h"
#include "wire/writer.h"

namespace sotto::cli {

namespace fs = std::filesystem;

namespace {

struct InferOptions {
  std::string plan, key, in, out, memory, scratch, stats;
  int threads = 0, at_once = 0;
};

// Batches in flight: as many as keep all threads busy, by prediction, and as memory has room for beside the keys.
std::uint64_t batches_at_once(const InferOptions& o, const plan::Plan& plan, const plan::Cost& cost, int threads,
                              std::uint64_t room) {
  if (cost.residency || cost.peak_bytes == 0) return 1;
  const double alone = plan::seconds_with(plan, cost, plan::kTypicalSpeed, 1),
               together = plan::seconds_with(plan, cost, plan::kTypicalSpeed, threads);
  const auto wanted = static_cast<std::uint64_t>(
      o.at_once > 0 ? o.at_once : std::max(1.0, together * plan::speed_up(threads) / alone + 0.25));
  const std::uint64_t fitting = room > cost.all_keys_bytes ? (room - cost.all_keys_bytes) / cost.peak_bytes : 0;
  return std::clamp<std::uint64_t>(fitting, 1, wanted);
}

void require_free_memory(const plan::Cost& cost) {
  const std::uint64_t available = available_memory();
  if (available != 0 && cost.peak_bytes > available)
    throw Error(
        ErrorCode::no_resources,
        fmt::format(
            "this plan needs about {}, the machine has {} free; compile with a smaller --batch or give --memory",
            format_bytes(static_cast<double>(cost.peak_bytes)), format_bytes(static_cast<double>(available))));
}

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
  const auto place = [](const std::string& path) {
    return fs::weakly_canonical(fs::absolute(wire::output_target(path)));
  };
  if (!o.stats.empty() && place(o.stats) == place(o.out))
    throw Error(ErrorCode::usage, o.stats + " is named for two outputs");
  if (moves || !o.scratch.empty()) runtime::ScratchFile(scratch, 1).take();
}

int run(const InferOptions& o) {
  const int threads = set_threads(o.threads);
  const plan::Plan plan = plan::read_plan(o.plan);
  const auto parameters = ckks::Parameters::create(plan.parameters);
  const std::uint64_t limit = o.memory.empty() ? 0 : parse_bytes(o.memory);
  const plan::Cost cost = plan::estimate(plan, threads, limit);
  require_memory(cost, limit);
  require_free_memory(cost);
  const fs::path scratch = o.scratch.empty() ? fs::absolute(o.out).parent_path() : fs::path(o.scratch);
  require_places(o, scratch, cost.residency.has_value());
  const auto ring = parameters.make_ring(simd::select_kernels(), limit);

  // All files are checked, to the last byte, before any work starts.
  const auto per_batch = static_cast<std::uint64_t>(plan.input().layout.ciphertexts());
  const ckks::CiphertextReader input(o.in, wire::Kind::input);
  input.expect(plan.id, static_cast<std::uint64_t>(plan.batch), per_batch, plan.input().limbs, plan.input().scale,
               *ring);
  ckks::KeyFile keys(o.key, ring, plan.parameters, plan.keys, plan.id);
  if (keys.key_id() != input.info().key_id)
    throw Error(ErrorCode::wrong_key,
                o.in + " was encrypted under another key than " + o.key + " belongs to; use the eval.key made with it");

  input.verify();
  keys.verify();

  ckks::CiphertextFileInfo info = input.info();
  info.per_batch = static_cast<std::uint64_t>(plan.output().layout.ciphertexts());
  info.limbs = plan.output().limbs;
  info.scale = plan.output().scale;
  for (const plan::Probe& p : plan.probes)
    info.probes.push_back({p.limbs, plan.tensors[static_cast<std::size_t>(p.tensor)].scale});
  const std::uint64_t batches = info.batches();
  ckks::CiphertextWriter output(o.out, wire::Kind::output, *ring, info, batches > 1);
  const std::uint64_t found = output.finished() / info.sections_per_batch();
  // Keys stay in memory from batch to batch if there is room for those of all levels.
  const std::uint64_t room = limit != 0 ? limit : available_memory();
  const bool keep_keys = batches > 1 && cost.peak_bytes + cost.all_keys_bytes <= room;

  const std::uint64_t at_once = keep_keys ? batches_at_once(o, plan, cost, threads, room) : 1;
  ProgressLine line("inference");
  const runtime::Model model(plan, parameters, ring);
  std::vector<runtime::StepTime> times(plan.steps.size());
  std::mutex mutex;  // of what batches in flight share: the line and the times; never held over a parallel loop
  std::vector<double> done(batches);
  const auto show = [&](std::uint64_t b, double part, const std::string& note) {
    const std::scoped_lock lock(mutex);
    done[b] = part;
    line.update(std::accumulate(done.begin(), done.end(), 0.0) / static_cast<double>(batches - found),
                batches > 1 ? fmt::format("batch {} of {}, {}", b + 1, batches, note) : note);
  };
  const auto run_batch = [&](std::uint64_t b) {
    std::vector<ckks::PackedCiphertext> images;
    for (std::uint64_t k = 0; k < per_batch; ++k) {
      show(b, 0, "reading the input");
      images.push_back(ckks::pack(*ring, input.read(*ring, b * per_batch + k)));
    }
    runtime::RunOptions options;
    options.progress = [&](const runtime::Progress& p) {
      show(b, p.done, plan.steps[static_cast<std::size_t>(p.step)].name);
    };
    options.stop = &stop_requested();
    options.residency = cost.residency;
    options.scratch = scratch;
    if (!keep_keys || (at_once == 1 && b + 1 == batches)) options.tier_done = [&](int tier) { keys.drop_tier(tier); };
    runtime::BatchRun run(model, keys, std::move(options));
    auto results = run.execute(std::move(images));
    for (ckks::Ciphertext& p : run.take_probes()) results.push_back(std::move(p));
    const std::scoped_lock lock(mutex);
    for (std::size_t s = 0; s < times.size(); ++s) times[s] += run.times()[s];
    return results;
  };
  // Results are written in order; an interruption keeps those of the batches before.
  const auto run_batches = [&](std::uint64_t first, std::uint64_t count) {
    std::vector<std::vector<ckks::Ciphertext>> results(count);
    parallel_for(count, [&](std::size_t k) { results[k] = run_batch(first + k); });
    for (const auto& batch : results)
      for (const auto& c : batch) output.write(c);
  };
  try {
    for (std::uint64_t b = found; b < batches; b += at_once) run_batches(b, std::min(at_once, batches - b));
  } catch (const Error& e) {
    const std::uint64_t kept = output.finished() / info.sections_per_batch();
    if (e.code() != ErrorCode::interrupted || kept == 0) throw;
    throw Error(e.code(), fmt::format("interrupted; {} of {} batches are kept in {}.part, from which the same command "
                                      "goes on",
                                      kept, batches, wire::output_target(o.out).string()));
  }
  output.commit();
  line.update(1.0, found > 0 ? fmt::format("{} of {} batches were there from an earlier run", found, batches) : "");

  if (!o.stats.empty()) {
    const nlohmann::json stats = {
        {"threads", threads},
        {"cpu_kernels", ring->kernels().name},
        {"seconds", line.seconds()},
        {"batches", batches},
        {"batches_of_an_earlier_run", found},
        {"pool_bytes", ring->pool_bytes()},
        {"peak_rss_bytes", peak_memory()},
        {"predicted_peak_bytes", at_once * cost.peak_bytes + (keep_keys ? cost.all_keys_bytes : 0)},
        {"batches_at_once", at_once},
        {"steps", step_times(plan, times)}};
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
  verb->add_option("--threads", o->threads, "Threads (default: all)")->check(CLI::Range(1, 1024));
  verb->add_option("--batches-at-once", o->at_once,
                   "Most batches in flight, memory permitting (default: what keeps all threads busy)")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--memory", o->memory, "Most memory to use, e.g. 8G");
  verb->add_option("--scratch", o->scratch,
                   "Folder for what --memory leaves no room for (default: that of the output)");
  verb->add_option("--stats", o->stats, "Write times per layer and memory here (JSON)");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
