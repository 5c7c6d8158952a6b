#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "cli/console.h"
#include "cli/exit_codes.h"
#include "cli/planning.h"
#include "cli/training.h"
#include "cli/training_client.h"
#include "cli/training_run.h"
#include "cli/verbs.h"
#include "graph/onnx_import.h"
#include "graph/onnx_weights.h"
#include "lowering/features.h"
#include "lowering/moments_twin.h"
#include "report/training.h"
#include "training/run_twin.h"
#include "training/trained.h"
#include "wire/atomic_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace {

struct TrainOptions {
  std::string model, spec, out, json, report;
  std::vector<std::string> test, calibrate;
  std::optional<std::size_t> test_count;
  int steps = 0;
  bool simulate = false;
  double noise = 0;
  DataOptions data;
  TrainingRunOptions run;
};

// Infinite if anything is no number.
double largest(const std::vector<std::vector<double>>& lists) {
  double most = 0;
  for (const auto& list : lists)
    for (double v : list) most = std::isnan(v) ? INFINITY : std::max(most, std::abs(v));
  return most;
}

// What the twin finds, into the report.
void add_twin(report::Training& r, const lowering::TrainingPlan& plan, const std::vector<training::TwinStep>& twin,
              const TestSet& test) {
  ProgressLine line("float twin");
  for (std::size_t s = 0; s < twin.size(); ++s) {
    line.update(s, twin.size());
    report::TrainingStep& step = r.steps.emplace_back();
    step.float_loss = twin[s].result.loss;
    step.float_accuracy = test.accuracy(plan.step, twin[s].state.weights);
    r.largest_weight = std::max(r.largest_weight, largest(twin[s].state.weights));
    r.largest_velocity = std::max(r.largest_velocity, largest(twin[s].state.velocities));
    if (r.overflow < 0 && !training::in_range(twin[s].state, twin[s].result.worst, plan.spec))
      r.overflow = static_cast<int>(s);
  }
}

// |a - b| / |b| over all weights.
double relative_error(const training::State& a, const training::State& b) {
  double error = 0, norm = 0;
  for (std::size_t p = 0; p < a.weights.size(); ++p)
    for (std::size_t i = 0; i < a.weights[p].size(); ++i) {
      error = std::hypot(error, a.weights[p][i] - b.weights[p][i]);
      norm = std::hypot(norm, b.weights[p][i]);
    }
  return error / norm;
}

std::vector<training::TwinStep> run_twin(const char* what, const lowering::TrainingPlan& plan,
                                         const std::vector<training::Example>& examples, double noise) {
  ProgressLine line(what);
  std::size_t done = 0;
  return training::run_twin(plan.step, plan.spec, examples, noise, [&](const training::TwinStep&) {
    line.update(++done, static_cast<std::size_t>(plan.spec.steps));
  });
}

// How far errors after each step have carried the weights.
void add_noisy(report::Training& r, double noise, const std::vector<training::TwinStep>& noisy,
               const std::vector<training::TwinStep>& exact) {
  r.noise = noise;
  for (std::size_t s = 0; s < r.steps.size(); ++s)
    r.steps[s].weight_relative_error = relative_error(noisy[s].state, exact[s].state);
}

void add_encrypted(report::Training& r, const lowering::TrainingPlan& plan, const client::DecryptedTraining& encrypted,
                   const std::vector<training::TwinStep>& twin, const TestSet& test) {
  r.overflow = encrypted.overflow;
  r.images_out_of_range = encrypted.out_of_range;
  ProgressLine line("accuracy");
  for (std::size_t s = 0; s < r.steps.size(); ++s) {
    line.update(s, r.steps.size());
    r.steps[s].loss = encrypted.losses[s];
    r.steps[s].weight_relative_error = relative_error(encrypted.states[s], twin[s].state);
    if (r.overflow < 0 || static_cast<int>(s) < r.overflow)
      r.steps[s].accuracy = test.accuracy(plan.step, encrypted.states[s].weights);
  }
}

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.2f} %", 100 * *fraction) : "not measured";
}

// Two digits, as far as they mean something.
std::string difference(double fraction) {
  if (!(fraction < 100)) return "more than 100 times their size";
  return fraction < 0.1 ? fmt::format("{:.2g} %", 100 * fraction) : fmt::format("{:.0f} %", 100 * fraction);
}

// Of the steps that the server's process made: a run that goes on behind an earlier one makes the rest.
std::string times_of(const report::Training& r) {
  const auto made = static_cast<std::size_t>(
      std::ranges::count_if(r.steps, [](const report::TrainingStep& s) { return s.seconds > 0; }));
  if (made == 0) return ", all made by earlier runs";
  return fmt::format("{} in {}, {:.1f} s each (predicted: {:.1f} s); {} of memory",
                     made < r.steps.size() ? fmt::format(", the last {} of them", made) : "",
                     format_seconds(r.training_seconds), r.seconds_per_step, r.predicted_seconds_per_step,
                     format_bytes(static_cast<double>(r.peak_rss_bytes)));
}

// The largest distance of weights after any step.
double farthest(const report::Training& r) {
  double most = 0;
  for (const report::TrainingStep& s : r.steps) most = std::max(most, s.weight_relative_error.value_or(0));
  return most;
}

void print_summary(const report::Training& r, const TrainOptions& o, bool written) {
  const report::TrainingStep& last = r.steps.back();
  if (r.simulated) {
    fmt::print("float twin: {} steps of {} images; loss {} to {}\n", r.steps.size(), r.batch,
               format_loss(r.steps.front().float_loss), format_loss(last.float_loss));
    if (r.noise > 0)
      fmt::print(
          "with errors of {:g} of the range after each step, weights differ by {} after the last one, at most by {}\n",
          r.noise, difference(*last.weight_relative_error), difference(farthest(r)));
    if (std::isfinite(r.range))
      fmt::print("largest weight {:.3g}, largest velocity {:.3g}; the spec allows {:.3g}\n", r.largest_weight,
                 r.largest_velocity, r.range);
  } else {
    fmt::print("{} encrypted steps of {} images{}\n", r.steps.size(), r.batch, times_of(r));
    fmt::print("loss {} to {} (float {}); weights differ from the float twin's by {}\n",
               format_loss(*r.steps.front().loss), format_loss(*last.loss), format_loss(last.float_loss),
               difference(*last.weight_relative_error));
  }
  if (r.accuracy_before)
    fmt::print("accuracy on {} test images: {} before, {} after{}\n", r.test_images, percent(r.accuracy_before),
               percent(r.simulated ? last.float_accuracy : last.accuracy),
               r.simulated ? "" : ", float " + percent(last.float_accuracy));
  if (!o.out.empty() && written) fmt::print("wrote {}: the network with the trained weights\n", o.out);
}

// Images of --test with their labels; may be none.
std::vector<training::Example> test_examples(const TrainOptions& o, const plan::Interface& io) {
  if (o.test.empty()) return {};
  DataOptions data;
  data.data = o.test;
  data.reading = o.data.reading;
  try {
    return examples_of(load_images(data, io, o.test_count, images::TrueLabels::needed), io);
  } catch (const Error& e) {
    throw Error(e.code(), std::string("--test: ") + e.what(), e.setting());
  }
}

int run(TrainOptions& o) {
  if (o.noise > 0 && !o.simulate)
    throw Error(ErrorCode::usage, "--noise simulates errors of encryption: it needs --simulate");
  if (!o.simulate && o.out.empty() && o.run.work.empty())
    throw Error(ErrorCode::usage,
                "the trained weights would go nowhere: name a file for the network, --out TRAINED.onnx, or a folder, "
                "--work DIR (or train the float twin alone, --simulate)");
  require_onnx_name(o.out);
  wire::require_outputs(std::array{o.out, o.report}, std::array{o.json});
  wire::require_kept(o.data.data, std::array{o.out, o.json, o.report});
  wire::require_kept(std::array{o.model, o.spec}, std::array{o.out, o.json, o.report});
  o.run.threads = set_threads(o.run.threads);
  training::Spec spec = training::read_spec(o.spec);
  if (o.steps > 0) {
    spec.steps = o.steps;
    training::verify(spec);
  }
  if (o.noise > 0 && spec.optimiser == training::Spec::Optimiser::normal_equations)
    throw Error(ErrorCode::usage,
                "--noise is of weights after each step; with normal equations they follow from sums once, whose errors "
                "the float twin looks at anyway");
  const Stopwatch compiling;
  const lowering::TrainingPlan plan = plan_training(o.model, spec, o.calibrate, o.data.reading);
  const double compile_seconds = compiling.seconds();
  DataOptions data = o.data;
  data.data = training_half(data.data);
  const auto examples = examples_of(load_images(data, plan.io, data.count, images::TrueLabels::needed), plan.io);
  std::optional<TrainingRun> encrypted_run;
  if (!o.simulate) encrypted_run.emplace(plan, examples, o.run);
  report::Training r = report_of(plan, examples.size() / static_cast<std::size_t>(spec.batch), o.run.threads);
  r.compile_seconds = compile_seconds;
  r.dataset = readable_text(fmt::format("{}", fmt::join(o.data.data, " ")));
  r.images = examples.size();
  const auto seen = [&](std::vector<training::Example> list) {
    ProgressLine line("float features");
    const std::size_t all = list.size();
    return lowering::seen_by_step(plan, std::move(list), [&](std::size_t done) { line.update(done, all); });
  };
  const TestSet test(plan, seen(test_examples(o, plan.io)));
  r.test_images = test.size();
  r.accuracy_before = test.accuracy(plan.step, training::initial_state(plan.step).weights);
  bool moments_tell = true;
  std::vector<training::TwinStep> noisy;
  const std::vector<training::TwinStep> twin = [&] {
    const std::vector<training::Example> list = seen(examples);
    r.images_out_of_range = lowering::out_of_range(plan, list);
    moments_tell =
        spec.optimiser != training::Spec::Optimiser::normal_equations || lowering::moments_will_tell(plan, list);
    if (o.noise > 0) noisy = run_twin("twin with noise", plan, list, o.noise);
    return run_twin("float twin", plan, list, 0);
  }();
  add_twin(r, plan, twin, test);
  if (o.noise > 0) add_noisy(r, o.noise, noisy, twin);
  if (!moments_tell && r.overflow < 0) r.overflow = spec.steps - 1;
  std::vector<std::vector<double>> weights = twin.back().state.weights;
  bool spoiled = false;
  // Encrypted weights, and images, would leave their range, too.
  const bool in_vain = encrypted_run && (r.overflow >= 0 || r.images_out_of_range > 0);
  r.simulated = o.simulate || in_vain;
  if (!r.simulated) {
    print_note("predicted: " + predicted_times(r.predicted_seconds_per_step,
                                               r.predicted_feature_seconds /
                                                   static_cast<double>(std::max<std::uint64_t>(r.batches, 1))));
    int exit_code = 0;
    const std::optional<client::DecryptedTraining> encrypted = encrypted_run->run(r, exit_code);
    if (!encrypted) return exit_code;
    add_encrypted(r, plan, *encrypted, twin, test);
    weights = encrypted->states.back().weights;
    spoiled = encrypted->spoiled;
  }
  const std::string range_note = training::range_note(r.images_out_of_range, spoiled);
  const bool trained = r.overflow < 0 && !spoiled && !in_vain;
  if (!o.out.empty() && trained)
    graph::write_onnx(Source(plan.model, plan.network), o.out, lowering::weights_of_model(plan, weights));
  if (!o.json.empty()) wire::write_file(o.json, report::to_json(r).dump(2) + "\n");
  if (!o.report.empty()) wire::write_file(o.report, report::training_page(r));
  if (o.json != "-") print_summary(r, o, trained);
  const std::string shown = "; the float twin shows it, so nothing was encrypted";
  // One line says why there is no network; that images left a range may be the reason.
  if (!range_note.empty() && r.overflow >= 0)
    print_note(range_note);
  else if (!range_note.empty())
    print_error("sotto: " + range_note +
                (in_vain ? shown + "; leave them out, or --calibrate on images like them" : "") + "\n");
  if (r.overflow >= 0) print_error("sotto: " + overflow_line(r.overflow, plan.spec) + (in_vain ? shown : "") + "\n");
  return range_note.empty() && r.overflow < 0 ? 0 : kDoubtful;
}

}  // namespace

void add_train(CLI::App& app) {
  auto* verb = app.add_subcommand("train", "Train a network on images that are encrypted for it, on this machine");
  auto o = std::make_shared<TrainOptions>();
  verb->add_option("MODEL", o->model, "The network, ONNX")->required();
  verb->add_option("--spec", o->spec, "SPEC.toml: layers, loss, optimiser, batch, steps")->required();
  add_data_options(*verb, o->data, true);
  verb->add_option("--test", o->test, "Images to measure accuracy on, in the clear (as for --data)")->expected(1, -1);
  verb->add_option("--test-count", o->test_count, "How many of them (default: all)")->check(image_number());
  verb->add_option("--calibrate", o->calibrate,
                   "Public images like those to come, to measure on the layers that run once for every image (as for "
                   "--data; 512 at most are used; default: made-up ones)")
      ->expected(1, -1);
  verb->add_option("--out", o->out, "Write the network with the trained weights here (ONNX)");
  verb->add_option("--steps", o->steps, "Steps, in place of the spec's")->check(CLI::Range(1, 1'000'000));
  verb->add_flag("--simulate", o->simulate, "Train the float twin alone, nothing encrypted: seconds, not hours");
  verb->add_option("--noise", o->noise,
                   "With --simulate: a second twin whose weights err by this part of the range after each step "
                   "(encryption errs by about 2e-5 of it), to see whether errors grow")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--work", o->run.work,
                   "Folder for keys and encrypted files, which stay there: the same command goes on behind the last "
                   "finished step");
  verb->add_option("--threads", o->run.threads, "Threads (default: all)")->check(CLI::Range(1, 1024));
  verb->add_option("--memory", o->run.memory, "Most memory of the server's process, e.g. 20G");
  verb->add_option("--json", o->json, "Write the results here (JSON; - for the standard output)");
  verb->add_option("--report", o->report, "Write a page with plots here (HTML)");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
