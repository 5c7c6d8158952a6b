#include "sotto/training_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/training.h"
#include "api/values.h"
#include "base/error.h"
#include "graph/onnx_weights.h"
#include "lowering/plan_file.h"
#include "lowering/plan_training.h"
#include "training/run_twin.h"

namespace sotto {

namespace api {

std::vector<training::Example> examples_of(const lowering::TrainingPlan& plan, const ImagesView& images,
                                           std::span<const int> labels) {
  std::vector<std::vector<double>> values = values_of(images, plan.io);
  if (values.size() != labels.size())
    throw Error(ErrorCode::bad_input, "there are " + std::to_string(values.size()) + " images and " +
                                          std::to_string(labels.size()) + " labels");
  std::vector<training::Example> out;
  out.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= plan.io.outputs)
      throw Error(ErrorCode::bad_input, "an image has the label " + std::to_string(labels[i]) +
                                            "; labels go from 0 to " + std::to_string(plan.io.outputs - 1));
    out.push_back({std::move(values[i]), labels[i]});
  }
  return out;
}

TrainingResult result_of(const lowering::TrainingPlan& plan, std::vector<double> losses,
                         const std::vector<training::State>& states, int overflow) {
  TrainingResult r;
  r.losses = std::move(losses);
  r.overflow = overflow;
  const auto largest = [](const std::vector<std::vector<double>>& lists, double& most) {
    for (const auto& list : lists)
      for (double v : list) most = std::max(most, std::abs(v));
  };
  for (const training::State& s : states) {
    largest(s.weights, r.largest_weight);
    largest(s.velocities, r.largest_velocity);
  }
  for (std::size_t p = 0; p < plan.step.parameters.size(); ++p)
    r.weights.push_back({plan.step.parameters[p].layer, plan.step.parameters[p].bias, states.back().weights[p]});
  return r;
}

}  // namespace api

TrainingPlan::TrainingPlan(lowering::TrainingPlan plan)
    : plan_(std::make_shared<const lowering::TrainingPlan>(std::move(plan))) {}

TrainingPlan TrainingPlan::compile(const Source& model, const std::string& spec) {
  return TrainingPlan(lowering::plan_training(model, training::parse_spec(spec, "the spec")));
}

TrainingPlan TrainingPlan::read(const Source& source) {
  return TrainingPlan(lowering::read_training_plan(source, lowering::kind_of_training(source)));
}

void TrainingPlan::write(const Sink& sink) const { lowering::write_training_plan(sink, *plan_, wire::Kind::plan); }
void TrainingPlan::write_client(const Sink& sink) const {
  lowering::write_training_plan(sink, *plan_, wire::Kind::client);
}

ClientSpec TrainingPlan::client_spec() const { return ClientSpec(lowering::client_part(*plan_)); }
int TrainingPlan::steps() const { return plan_->spec.steps; }
int TrainingPlan::batch() const { return plan_->spec.batch; }
std::uint64_t TrainingPlan::memory() const { return lowering::memory_of(*plan_, lowering::lower(*plan_)); }
std::uint64_t TrainingPlan::key_bytes() const { return lowering::key_bytes_of(*plan_); }

TrainingResult TrainingPlan::simulate(const ImagesView& images, std::span<const int> labels, const Hooks& hooks) const {
  const auto examples = api::examples_of(*plan_, images, labels);
  double done = 0;
  std::vector<double> losses;
  std::vector<training::State> states;
  for (training::TwinStep& s :
       training::run_twin(plan_->step, plan_->spec, examples, 0, [&](const training::TwinStep&) {
         if (hooks.stop != nullptr && *hooks.stop) throw Error(ErrorCode::interrupted, "the simulation was stopped");
         if (hooks.progress) hooks.progress({"simulation", ++done / plan_->spec.steps, {}});
       })) {
    losses.push_back(s.result.loss);
    states.push_back(std::move(s.state));
  }
  return api::result_of(*plan_, std::move(losses), states, -1);
}

void TrainingPlan::write_model(const std::filesystem::path& path, const std::vector<TrainedWeights>& weights) const {
  std::vector<graph::NewWeights> list;
  for (const TrainedWeights& w : weights) list.push_back({w.layer, w.bias, w.values});
  graph::write_onnx(Source(plan_->model, plan_->network), path, list);
}

}  // namespace sotto
