#include "lowering/plan_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
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

}  // namespace

TrainingPlan plan_training(const Source& model, const training::Spec& spec, const compiler::PlanningHooks& hooks,
                           const CalibrationFor& calibration) {
  const graph::Network original = graph::import_onnx(model);
  const graph::Network network = training::network_to_train(original, spec);
  if (hooks.note)
    for (const std::string& n : network.notes) hooks.note(model.name() + ": " + n);
  if (spec.optimiser == Spec::Optimiser::normal_equations) training::require_one_dense_layer(network, spec);
  std::optional<Body> body;
  if (const std::optional<int> features = training::features_of(network, spec)) {
    const plan::Interface io = compiler::interface_of(network);
    body = compile_body(network, *features, spec, calibration ? calibration(io) : compiler::made_up_calibration(io),
                        hooks);
  }
  training::Step step = training::differentiate(trained_part(network, spec, body), spec);
  if (spec.optimiser == Spec::Optimiser::sgd) require_range(step, spec.range);
  graph::check_writable(model, training::new_weights(original, spec, step, training::initial_state(step).weights));
  TrainingPlan plan = compile(std::move(step), spec, {}, std::move(body));
  plan.network = network.name;
  plan.model = graph::self_contained(model);
  plan.io = compiler::interface_of(network);
  plan.id = lowering::plan_id(plan);
  return plan;
}

}  // namespace sotto::lowering
