#include "lowering/plan_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "compiler/lower.h"
#include "graph/onnx_import.h"
#include "graph/onnx_weights.h"
#include "lowering/plan_file.h"
#include "training/differentiate.h"
#include "training/layers.h"
#include "training/trained.h"

namespace sotto::lowering {

namespace {

// Weights beyond it would be lost in the first step.
void require_range(const training::Step& step, double range) {
  double largest = 0;
  for (const training::Parameter& p : step.parameters)
    for (double w : p.initial) largest = std::max(largest, std::abs(w));
  if (largest > range)
    throw Error(ErrorCode::bad_input,
                fmt::format("weights of the network reach {:.3g}, the range of the spec is {:.3g}: give a larger range",
                            largest, range));
}

// What in a spec has no effect.
void note_idle_keys(const training::Spec& spec, const compiler::PlanningHooks& hooks) {
  const auto idle = std::ranges::find_if(spec.schedule, [&](const auto& c) { return c.step >= spec.steps; });
  if (hooks.note && idle != spec.schedule.end())
    hooks.note(
        fmt::format("a [[schedule]] begins at step {}, but the training ends before it: the first step is 0, and there "
                    "are {}",
                    idle->step, spec.steps));
}

void note_new_biases(const std::vector<std::string>& layers, const compiler::PlanningHooks& hooks) {
  if (hooks.note && !layers.empty())
    hooks.note(fmt::format("{} {} no biases in the model: {} some, which are trained, too", quoted(layers),
                           layers.size() == 1 ? "has" : "have", layers.size() == 1 ? "it gets" : "they get"));
}

}  // namespace

TrainingPlan plan_training(const Source& model, const training::Spec& spec, const compiler::PlanningHooks& hooks,
                           const CalibrationFor& calibration, ckks::SecurityLevel security) {
  const graph::Network original = graph::import_onnx(model);
  const graph::Network network = training::network_to_train(original, spec);
  if (hooks.note)
    for (const std::string& n : network.notes) hooks.note(model.name() + ": " + n);
  note_idle_keys(spec, hooks);
  graph::require_unshared(model, training::weights_to_train(network, spec));
  if (spec.optimiser == Spec::Optimiser::normal_equations) training::require_one_dense_layer(network, spec);
  std::optional<Body> body;
  if (const std::optional<int> features = training::features_of(network, spec)) {
    const plan::Interface io = compiler::interface_of(network);
    body = compile_body(network, *features, spec, calibration ? calibration(io) : compiler::made_up_calibration(io),
                        hooks, security);
  }
  training::Step step = training::differentiate(trained_part(network, spec, body), spec);
  if (spec.optimiser == Spec::Optimiser::sgd) require_range(step, spec.range);
  note_new_biases(
      graph::check_writable(model, training::new_weights(original, spec, step, training::initial_state(step).weights)),
      hooks);
  TrainingPlan plan = compile(std::move(step), spec, {.security = security}, std::move(body));
  plan.network = network.name;
  plan.model = graph::self_contained(model);
  plan.io = compiler::interface_of(network);
  plan.id = lowering::plan_id(plan);
  return plan;
}

}  // namespace sotto::lowering
