#include "cli/training.h"

#include <fmt/format.h>

#include "cli/console.h"
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

}  // namespace

nlohmann::json to_json(const engine::TrainingReport& report, const engine::Trainer& trainer, int threads,
                       double seconds) {
  nlohmann::json kinds;
  for (const auto& [kind, time] : report.kinds) kinds[name_of(kind)] = time;
  return {{"threads", threads},
          {"cpu_kernels", trainer.ring().kernels().name},
          {"seconds", seconds},
          {"read_seconds", report.read_seconds},
          {"compute_seconds", report.compute_seconds},
          {"write_seconds", report.write_seconds},
          {"steps", report.steps},
          {"steps_of_an_earlier_run", report.steps_of_an_earlier_run},
          {"step_seconds", report.step_seconds},
          {"seconds_by_kind", kinds},
          {"images", report.images},
          {"batches", report.batches},
          {"pool_bytes", trainer.ring().pool_bytes()},
          {"peak_rss_bytes", peak_memory()},
          {"predicted_peak_bytes", trainer.predicted_bytes()}};
}

std::string compile_training(const std::string& model, const std::string& spec, const std::string& plan_path,
                             const std::string& client_path) {
  const lowering::TrainingPlan plan = [&] {
    const AtOnce at_once;
    return lowering::plan_training(model, training::read_spec(spec), print_note);
  }();
  wire::require_writable(plan_path, wire::Kind::plan);  // both or none
  wire::require_writable(client_path, wire::Kind::client);
  lowering::write_training_plan(plan_path, plan, wire::Kind::plan);
  lowering::write_training_plan(client_path, plan, wire::Kind::client);
  std::size_t weights = 0;
  for (const training::Parameter& p : plan.step.parameters) weights += p.initial.size();
  return fmt::format(
      "{}: trains {} weights in {} steps of {} images; about {} of memory to run, {} of evaluation keys\n",
      plan.network, weights, plan.spec.steps, plan.spec.batch,
      format_bytes(static_cast<double>(lowering::memory_of(plan, lowering::lower(plan)))),
      format_bytes(static_cast<double>(lowering::key_bytes_of(plan))));
}

}  // namespace sotto::cli
