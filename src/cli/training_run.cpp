#include "cli/training_run.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/error.h"
#include "cli/console.h"
#include "cli/process.h"
#include "client/scores.h"
#include "engine/trainer.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "lowering/cost.h"
#include "lowering/plan_file.h"
#include "training/trained.h"

namespace sotto::cli {

namespace fs = std::filesystem;

TestSet::TestSet(const lowering::TrainingPlan& plan, std::vector<training::Example> examples)
    : examples_(std::move(examples)) {
  if (!examples_.empty())
    network_ = lowering::trained_part(
        training::network_to_train(graph::import_onnx(Source(plan.model, plan.network)), plan.spec), plan.spec,
        plan.body);
}

std::optional<double> TestSet::accuracy(const training::Step& step,
                                        const std::vector<std::vector<double>>& weights) const {
  if (examples_.empty()) return std::nullopt;
  const graph::Network network = training::trained(network_, step, weights);
  std::vector<std::vector<double>> images;
  images.reserve(examples_.size());
  for (const training::Example& e : examples_) images.push_back(e.image);
  const auto scores = graph::evaluate_all(network, images);
  std::size_t right = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) right += client::argmax(scores[i]) == examples_[i].label;
  return static_cast<double>(right) / static_cast<double>(scores.size());
}

report::Training report_of(const lowering::TrainingPlan& plan, std::uint64_t batches, int threads) {
  report::Training r;
  r.network = plan.network;
  for (const training::Parameter& p : plan.step.parameters) {
    if (r.layers.empty() || r.layers.back() != p.layer) r.layers.push_back(p.layer);
    r.weights += p.initial.size();
  }
  r.batch = plan.spec.batch;
  r.range = plan.spec.optimiser == training::Spec::Optimiser::sgd ? plan.spec.range : INFINITY;
  const auto parameters = ckks::Parameters::create(plan.parameters);
  r.security_bits = parameters.security_bits();
  r.log2_qp = parameters.log2_qp();
  r.ring_dimension = 1 << plan.parameters.log_n;
  r.ciphertext_primes = plan.parameters.ciphertext_primes;
  r.special_primes = plan.parameters.special_primes;
  const lowering::LoweredStep lowered = lowering::lower(plan);
  const plan::Speed speed = plan::measure_speed(plan.parameters.log_n, plan.parameters.kind, threads);
  r.batches = batches;
  r.predicted_seconds_per_step = lowering::seconds_per_step(plan, lowered, speed);
  r.predicted_feature_seconds = lowering::feature_seconds(plan, lowered, speed) * static_cast<double>(batches);
  const program::Counts counts = program::counts_of(lowered.program, plan.parameters.log_n);
  r.bootstraps_per_step = counts.bootstraps;
  r.ciphertext_products_per_step = counts.products;
  r.key_switches_per_step = counts.key_switches;
  return r;
}

namespace {

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

void add_server_figures(report::Training& r, const std::string& stats_path) {
  std::ifstream file(stats_path);
  const nlohmann::json stats = nlohmann::json::parse(file, nullptr, false);
  if (!stats.is_object()) return;  // the steps were made by a run that could not write them
  const auto seconds = stats.at("step_seconds").get<std::vector<double>>();
  const auto earlier = stats.at("steps_of_an_earlier_run").get<std::size_t>();
  for (std::size_t s = 0; s < seconds.size() && earlier + s < r.steps.size(); ++s)
    r.steps[earlier + s].seconds = seconds[s];
  if (!seconds.empty()) {
    r.seconds_per_step = median(seconds);
    for (const auto& [kind, time] : stats.at("seconds_by_kind").items())
      r.seconds_by_kind[kind] = time.get<double>() / static_cast<double>(seconds.size());
  }
  r.feature_seconds = stats.at("feature_seconds");
  r.training_seconds = stats.at("training_seconds");
  r.peak_rss_bytes = stats.at("peak_rss_bytes");
  r.predicted_peak_bytes = stats.at("predicted_peak_bytes");
  r.kernels = stats.at("cpu_kernels");
  r.threads = stats.at("threads");
}

// The server's part, as a process of its own that gets what a server would get. Returns its exit code.
int run_server(const WorkFolder& work, const TrainingRunOptions& options) {
  std::vector<std::string> command = {(program_folder() / "sotto-server").string(),
                                      "train",
                                      work / "net.plan",
                                      "--eval-key",
                                      work / "eval.key",
                                      "--in",
                                      work / "in.sotto",
                                      "--out",
                                      work / "out.sotto",
                                      "--json",
                                      work / "stats.json",
                                      "--threads",
                                      std::to_string(options.threads)};
  if (!options.memory.empty()) command.insert(command.end(), {"--memory", options.memory});
  const ProcessResult server = run_process(command);
  if (server.exit_code > 128 && server.exit_code != static_cast<int>(ErrorCode::interrupted)) {
    check_stop();
    throw Error(ErrorCode::no_resources, "the training process was killed (signal " +
                                             std::to_string(server.exit_code - 128) +
                                             "); most likely the memory did not suffice");
  }
  return server.exit_code;
}

}  // namespace

TrainingRun::TrainingRun(const lowering::TrainingPlan& plan, const std::vector<training::Example>& examples,
                         const TrainingRunOptions& options)
    : plan_(plan),
      examples_(examples),
      options_(options),
      work_(options.work.empty() ? std::make_unique<WorkFolder>() : std::make_unique<WorkFolder>(options.work)),
      earlier_(*work_, plan.id, examples) {
  earlier_.require_no_others();
  (void)engine::memory_for(plan, lowering::lower(plan), options.memory.empty() ? 0 : parse_bytes(options.memory),
                           examples.size() / static_cast<std::size_t>(plan.spec.batch));
}

std::optional<client::DecryptedTraining> TrainingRun::run(report::Training& r, int& exit_code) {
  const WorkFolder& work = *work_;
  const plan::ClientSpec spec = lowering::client_part(plan_);
  lowering::write_training_plan(work / "net.plan", plan_, wire::Kind::plan);
  {
    const Stopwatch watch;
    ProgressLine line("keys");
    if (!fs::exists(work / "secret.key") && fs::exists(work / "eval.key"))
      throw Error(ErrorCode::bad_input, work / "eval.key" +
                                            " is there, but its secret key is not: remove it, or name "
                                            "another --work");
    if (!fs::exists(work / "eval.key"))
      client::make_keys({{spec, ckks::Parameters::create(plan_.parameters)}}, work.path(), {},
                        [&](std::size_t done, std::size_t total) { line.update(done, total); });
    r.keygen_seconds = watch.seconds();
  }
  const client::Keys keys = client::read_keys(ckks::Parameters::create(plan_.parameters), work.path());
  // What was encrypted earlier serves if it was made of the same examples.
  std::optional<ckks::CiphertextFileInfo> input = earlier_.input(keys.secret.id());
  if (!input) {
    const Stopwatch watch;
    ProgressLine line("encryption");
    earlier_.forget_examples();
    client::encrypt_examples(plan_, keys, examples_, work / "in.sotto",
                             [&](std::size_t done, std::size_t total) { line.update(done, total); });
    earlier_.keep_examples();
    r.encrypt_seconds = watch.seconds();
    input = ckks::CiphertextReader(work / "in.sotto", wire::Kind::input).info();
  }
  r.eval_key_bytes = fs::file_size(work / "eval.key");
  r.input_bytes = fs::file_size(work / "in.sotto");
  const auto output = earlier_.output(keys.secret.id());
  if (!output || output->input_id != input->input_id) {
    fs::remove(work / "stats.json");  // of other steps
    exit_code = run_server(work, options_);
    if (exit_code != 0) return std::nullopt;
  }
  add_server_figures(r, work / "stats.json");
  r.output_bytes = fs::file_size(work / "out.sotto");
  const Stopwatch watch;
  ProgressLine line("decryption");
  client::DecryptedTraining result = client::decrypt_training(
      plan_, keys, work / "out.sotto", [&](std::size_t done, std::size_t total) { line.update(done, total); },
      {.input_id = input->input_id,
       .input_digest = ckks::CiphertextReader(work / "in.sotto", wire::Kind::input).digest(),
       .images = input->images});
  r.decrypt_seconds = watch.seconds();
  return result;
}

}  // namespace sotto::cli
