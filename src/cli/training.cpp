#include "cli/training.h"

#include <fmt/format.h>

#include "cli/console.h"
#include "cli/planning.h"
#include "cli/planning_lines.h"
#include "lowering/cost.h"
#include "lowering/files.h"
#include "lowering/plan_file.h"
#include "lowering/plan_training.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace {

const char* name_of(program::Instruction::Kind kind) {
  using Kind = program::Instruction::Kind;
  switch (kind) {
    case Kind::rotate:
      return "rotate";
    case Kind::rotate_sum:
      return "rotate_sum";
    case Kind::join:
      return "join";
    case Kind::multiply:
      return "multiply";
    case Kind::mix:
      return "mix";
    case Kind::shift:
      return "shift";
    case Kind::bootstrap:
      return "bootstrap";
  }
  return "other";
}

std::uint64_t bytes_of(const lowering::TrainingPlan& plan, wire::Kind kind, const ckks::CiphertextFileInfo& info) {
  const std::size_t n = std::size_t{1} << plan.parameters.log_n;
  std::uint64_t bytes = 0;
  for (std::uint64_t k = 0; k < info.sections(); ++k)
    bytes += ckks::ciphertext_bytes(kind, n, plan.parameters.prime_bits, info.shape(k).level);
  return bytes;
}

// What a plan costs, by the names of the JSON form.
struct TrainingCost {
  TrainingCost(const lowering::TrainingPlan& plan, int threads) {
    const lowering::LoweredStep lowered = lowering::lower(plan);
    for (const training::Parameter& p : plan.step.parameters) weights += p.initial.size();
    counts = program::counts_of(lowered.program, plan.parameters.log_n);
    const plan::Speed speed = plan::measure_speed(plan.parameters.log_n, plan.parameters.kind, threads);
    seconds_per_step = lowering::seconds_per_step(plan, lowered, speed);
    feature_seconds = lowering::feature_seconds(plan, lowered, speed);
    predicted_peak_bytes = lowering::memory_of(plan, lowered);
    eval_key_bytes = lowering::key_bytes_of(plan);
    input_bytes = bytes_of(plan, wire::Kind::input, lowering::input_info(plan, lowered, 1));
    output_bytes = bytes_of(plan, wire::Kind::output, lowering::output_info(plan, lowered, {}, 1));
  }

  std::size_t weights = 0;
  program::Counts counts;  // of a step
  double seconds_per_step = 0;
  double feature_seconds = 0;              // of a batch; 0: there are none, or the plan is the owner's
  std::uint64_t predicted_peak_bytes = 0;  // of a run on one batch; features of others are in memory beside its own
  std::uint64_t eval_key_bytes = 0;
  std::uint64_t input_bytes = 0;   // of a batch
  std::uint64_t output_bytes = 0;  // of all steps, with the features of one batch if there are any
};

std::string bytes(std::uint64_t n) { return format_bytes(static_cast<double>(n)); }

std::string summary(const lowering::TrainingPlan& plan, const TrainingCost& cost) {
  return fmt::format(
      "{}: trains {} weights in {} steps of {} images; {}; about {} of memory to run{}, {} of evaluation keys\n",
      plan.network, cost.weights, plan.spec.steps, plan.spec.batch,
      predicted_times(cost.seconds_per_step, cost.feature_seconds), bytes(cost.predicted_peak_bytes),
      plan.body ? " on one batch" : "", bytes(cost.eval_key_bytes));
}

}  // namespace

std::string predicted_times(double seconds_per_step, double feature_seconds) {
  std::string text = "about " + format_seconds(seconds_per_step) + " a step";
  if (feature_seconds > 0) text += ", and once for each batch " + format_seconds(feature_seconds);
  return text;
}

void show_training(const lowering::TrainingPlan& plan, bool as_json, int threads) {
  const TrainingCost cost(plan, threads);
  const auto parameters = ckks::Parameters::create(plan.parameters);
  std::vector<std::string> layers;
  for (const training::Parameter& p : plan.step.parameters)
    if (layers.empty() || layers.back() != p.layer) layers.push_back(p.layer);
  if (as_json) {
    const nlohmann::json j = {{"network", plan.network},
                              {"plan_id", plan.id},
                              {"training", true},
                              {"signer", describe_signer(plan.signer)},
                              {"layers", layers},
                              {"weights", cost.weights},
                              {"batch", plan.spec.batch},
                              {"steps", plan.spec.steps},
                              {"bootstraps_per_step", cost.counts.bootstraps},
                              {"ciphertext_products_per_step", cost.counts.products},
                              {"key_switches_per_step", cost.counts.key_switches},
                              {"threads", threads},
                              {"predicted_seconds_per_step", cost.seconds_per_step},
                              {"predicted_feature_seconds_per_batch",
                               cost.feature_seconds > 0 ? nlohmann::json(cost.feature_seconds) : nlohmann::json()},
                              {"keys", lowering::all_keys_of(plan).keys.size()},
                              {"eval_key_bytes", cost.eval_key_bytes},
                              {"input_bytes", cost.input_bytes},
                              {"output_bytes", cost.output_bytes},
                              {"predicted_peak_bytes", cost.predicted_peak_bytes},
                              {"parameters", describe_security(parameters)}};
    fmt::print("{}\n", j.dump(2));
    return;
  }
  fmt::print("{}", summary(plan, cost));
  fmt::print("  plan        {}\n", plan.id);
  if (plan.signer) fmt::print("  signed      results, with {}\n", signing::to_text(*plan.signer));
  fmt::print("  layers      {}\n", fmt::join(layers, ", "));
  fmt::print("  ring        rank {}, {} + {} primes, log2(QP) {:.0f}, {}\n", 1 << plan.parameters.log_n,
             plan.parameters.ciphertext_primes, plan.parameters.special_primes, parameters.log2_qp(),
             ckks::describe(parameters.spec().security));
  fmt::print("  a step      {} bootstraps, {} products of ciphertexts, {} key switches in all\n",
             cost.counts.bootstraps, cost.counts.products, cost.counts.key_switches);
  fmt::print("  keys        {}, {}\n", lowering::all_keys_of(plan).keys.size(), bytes(cost.eval_key_bytes));
  fmt::print("  input       {} per batch\n  output      {} for all steps\n", bytes(cost.input_bytes),
             bytes(cost.output_bytes));
}

nlohmann::json to_json(const engine::TrainingReport& report, const engine::Trainer& trainer, const plan::Speed& speed,
                       int threads, double seconds) {
  nlohmann::json kinds, predicted_kinds;
  for (const auto& [kind, time] : report.kinds) kinds[name_of(kind)] = time;
  for (const auto& [kind, work] :
       lowering::work_of(trainer.lowered().program, trainer.plan().keys.tiers, trainer.plan().parameters.log_n))
    predicted_kinds[name_of(kind)] = work.seconds(speed);
  const double features = lowering::feature_seconds(trainer.plan(), trainer.lowered(), speed);
  return {{"threads", threads},
          {"cpu_kernels", trainer.ring().kernels().name},
          {"seconds", seconds},
          {"feature_seconds", report.feature_seconds},
          {"training_seconds", seconds - report.feature_seconds},
          {"read_seconds", report.read_seconds},
          {"compute_seconds", report.compute_seconds},
          {"write_seconds", report.write_seconds},
          {"steps", report.steps},
          {"steps_of_an_earlier_run", report.steps_of_an_earlier_run},
          {"step_seconds", report.step_seconds},
          {"predicted_seconds_per_step", lowering::seconds_per_step(trainer.plan(), trainer.lowered(), speed)},
          {"predicted_feature_seconds_per_batch", features > 0 ? nlohmann::json(features) : nlohmann::json()},
          {"seconds_by_kind", kinds},
          {"predicted_seconds_by_kind_per_step", predicted_kinds},
          {"images", report.images},
          {"batches", report.batches},
          {"pool_bytes", trainer.ring().pool_bytes()},
          {"peak_rss_bytes", peak_memory()},
          {"predicted_peak_bytes", trainer.predicted_bytes()}};
}

lowering::TrainingPlan plan_training(const std::string& model, const training::Spec& spec,
                                     const std::vector<std::string>& calibrate, const ReadingOptions& reading,
                                     ckks::SecurityLevel security) {
  const AtOnce nothing_is_written;
  PlanningLines lines;
  lowering::TrainingPlan plan = lowering::plan_training(
      model, spec, lines.hooks(), [&](const plan::Interface& io) { return calibration_for(calibrate, reading, io); },
      security);
  if (!calibrate.empty() && !plan.body)
    print_note("--calibrate changes nothing: no layers run once for every image in front of those that are trained");
  return plan;
}

std::string compile_training(const std::string& model, const std::string& spec,
                             const std::vector<std::string>& calibrate, const ReadingOptions& reading,
                             ckks::SecurityLevel security, const std::optional<signing::VerificationKey>& signer,
                             const std::string& plan_path, const std::string& client_path) {
  lowering::TrainingPlan plan = plan_training(model, training::read_spec(spec), calibrate, reading, security);
  if (signer) lowering::set_signer(plan, *signer);
  wire::require_writable(plan_path, wire::Kind::plan);  // both or none
  wire::require_writable(client_path, wire::Kind::client);
  lowering::write_training_plan(plan_path, plan, wire::Kind::plan);
  lowering::write_training_plan(client_path, plan, wire::Kind::client);
  return summary(plan, TrainingCost(plan, set_threads(0)));
}

}  // namespace sotto::cli
