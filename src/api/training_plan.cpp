#include "sotto/training_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/planning.h"
#include "api/security.h"
#include "api/signing.h"
#include "api/training.h"
#include "api/values.h"
#include "base/error.h"
#include "base/parallel.h"
#include "graph/onnx_import.h"
#include "graph/onnx_weights.h"
#include "lowering/cost.h"
#include "lowering/features.h"
#include "lowering/moments_twin.h"
#include "lowering/plan_file.h"
#include "lowering/plan_training.h"
#include "training/run_twin.h"

namespace sotto {

namespace api {

compiler::Calibration calibration_for(const std::optional<ImagesView>& images, const plan::Interface& io) {
  if (!images) return compiler::made_up_calibration(io);
  const std::size_t stride = (images->count() + compiler::kMostCalibration - 1) / compiler::kMostCalibration;
  return compiler::calibration_from(values_of(*images, io, std::max<std::size_t>(stride, 1)));
}

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
      throw Error(ErrorCode::bad_input, "image " + std::to_string(i) + " has the label " + std::to_string(labels[i]) +
                                            "; labels go from 0 to " + std::to_string(plan.io.outputs - 1));
    out.push_back({std::move(values[i]), labels[i]});
  }
  return out;
}

void note_left_over(const lowering::TrainingPlan& plan, std::size_t images, const Hooks& hooks) {
  const auto batch = static_cast<std::size_t>(plan.spec.batch), left = images % batch;
  if (hooks.note && images >= batch && left > 0)
    hooks.note(std::to_string(left) + (left == 1 ? " image is" : " images are") + " left over: batches are of " +
               std::to_string(batch));
}

namespace {

// Of a convolution's kernel [out][in][kernel_h][kernel_w], of a dense layer's matrix [out][in], of biases [out].
std::vector<int> shape_of(const graph::Network& network, const graph::NewWeights& w) {
  const auto node = std::ranges::find(network.nodes, w.node, &graph::Node::name);
  const auto count = static_cast<int>(w.values.size());
  if (w.bias || node == network.nodes.end()) return {count};
  if (const auto* c = std::get_if<graph::Conv2d>(&node->op)) return {c->out_c, c->in_c, c->kernel_h, c->kernel_w};
  const int in = std::get<graph::Dense>(node->op).in;
  return {count / in, in};  // a new head has outputs of its own
}

// weights: by parameter of a step.
std::vector<TrainedWeights> trained_weights(const lowering::TrainingPlan& plan,
                                            const std::vector<std::vector<double>>& weights) {
  const graph::Network network = graph::import_onnx(Source(plan.model, plan.network));
  std::vector<TrainedWeights> out;
  for (graph::NewWeights& w : lowering::weights_of_model(plan, weights)) {
    std::vector<int> shape = shape_of(network, w);
    out.push_back({std::move(w.node), w.bias, std::move(w.values), std::move(shape)});
  }
  return out;
}

}  // namespace

TrainingResult result_of(const lowering::TrainingPlan& plan, std::vector<double> losses,
                         const std::vector<training::State>& states, int overflow) {
  TrainingResult r;
  r.losses = std::move(losses);
  r.overflow = overflow;
  r.summary = training::overflow_note(overflow, plan.spec);
  const auto largest = [](const std::vector<std::vector<double>>& lists, double& most) {
    for (const auto& list : lists)
      for (double v : list) most = std::max(most, std::abs(v));
  };
  for (const training::State& s : states) {
    largest(s.weights, r.largest_weight);
    largest(s.velocities, r.largest_velocity);
  }
  r.weights = trained_weights(plan, states.back().weights);
  return r;
}

}  // namespace api

namespace {

plan::Speed typical_speed(int threads) {
  plan::Speed speed = plan::kTypicalSpeed;
  speed.threads = threads > 0 ? threads : available_threads();
  return speed;
}

}  // namespace

TrainingPlan::TrainingPlan(lowering::TrainingPlan plan)
    : plan_(std::make_shared<const lowering::TrainingPlan>(std::move(plan))) {}

TrainingPlan TrainingPlan::compile(const Source& model, const std::string& spec, const std::string& name,
                                   const Hooks& hooks, const std::optional<ImagesView>& calibration, Security security,
                                   const std::string& signer) {
  const auto key = api::verification_key_of(signer);
  lowering::TrainingPlan plan = lowering::plan_training(
      model, training::parse_spec(spec, name), api::planning_hooks_for(hooks),
      [&](const plan::Interface& io) { return api::calibration_for(calibration, io); }, api::level_of(security));
  if (key) lowering::set_signer(plan, *key);
  return TrainingPlan(std::move(plan));
}

TrainingPlan TrainingPlan::read(const Source& source) {
  return TrainingPlan(lowering::read_training_plan(source, lowering::kind_of_training(source)));
}

void TrainingPlan::write(const Sink& sink) const { lowering::write_training_plan(sink, *plan_, wire::Kind::plan); }
void TrainingPlan::write_client(const Sink& sink) const {
  lowering::write_training_plan(sink, *plan_, wire::Kind::client);
}

ClientSpec TrainingPlan::client_spec() const { return ClientSpec(lowering::client_part(*plan_)); }
std::vector<TrainedWeights> TrainingPlan::weights() const {
  return api::trained_weights(*plan_, training::initial_state(plan_->step).weights);
}
int TrainingPlan::steps() const { return plan_->spec.steps; }
int TrainingPlan::batch() const { return plan_->spec.batch; }
double TrainingPlan::range() const { return plan_->spec.range; }
std::uint64_t TrainingPlan::memory() const { return lowering::memory_of(*plan_, lowering::lower(*plan_)); }
std::uint64_t TrainingPlan::key_bytes() const { return lowering::key_bytes_of(*plan_); }
double TrainingPlan::seconds_per_step(int threads) const {
  return lowering::seconds_per_step(*plan_, lowering::lower(*plan_), typical_speed(threads));
}
double TrainingPlan::feature_seconds(int threads) const {
  return lowering::feature_seconds(*plan_, lowering::lower(*plan_), typical_speed(threads));
}

TrainingResult TrainingPlan::simulate(const ImagesView& images, std::span<const int> labels, const Hooks& hooks) const {
  std::vector<training::Example> examples = api::examples_of(*plan_, images, labels);
  api::note_left_over(*plan_, examples.size(), hooks);
  const auto count = static_cast<double>(examples.size());
  examples = lowering::seen_by_step(*plan_, std::move(examples), [&](std::size_t evaluated) {
    if (hooks.stop != nullptr && *hooks.stop) throw Error(ErrorCode::interrupted, "the simulation was stopped");
    if (hooks.progress) hooks.progress({"features", static_cast<double>(evaluated) / count, {}});
  });
  const std::size_t out_of_range = lowering::out_of_range(*plan_, examples);
  double done = 0;
  std::vector<double> losses;
  std::vector<training::State> states;
  std::vector<double> peaks(plan_->step.values.size());
  int overflow = -1;
  for (training::TwinStep& s :
       training::run_twin(plan_->step, plan_->spec, examples, 0, [&](const training::TwinStep&) {
         if (hooks.stop != nullptr && *hooks.stop) throw Error(ErrorCode::interrupted, "the simulation was stopped");
         if (hooks.progress) hooks.progress({"simulation", ++done / plan_->spec.steps, {}});
       })) {
    if (overflow < 0 && !training::in_range(s.state, s.result.worst, plan_->spec))
      overflow = static_cast<int>(states.size());
    for (std::size_t v = 0; v < peaks.size(); ++v) peaks[v] = std::max(peaks[v], s.result.peaks[v]);
    losses.push_back(s.result.loss);
    states.push_back(std::move(s.state));
  }
  if (overflow < 0 && plan_->spec.optimiser == training::Spec::Optimiser::normal_equations &&
      !lowering::moments_will_tell(*plan_, examples))
    overflow = plan_->spec.steps - 1;
  TrainingResult r = api::result_of(*plan_, std::move(losses), states, overflow);
  r.images_out_of_range = out_of_range;
  if (r.summary.empty()) r.summary = training::range_note(out_of_range, false);
  for (std::size_t v = 0; v < peaks.size(); ++v) r.peaks.push_back({plan_->step.values[v].name, peaks[v]});
  return r;
}

void TrainingPlan::write_model(const Sink& sink, const std::vector<TrainedWeights>& weights) const {
  std::vector<graph::NewWeights> list;
  list.reserve(weights.size());
  for (const TrainedWeights& w : weights) list.push_back({w.layer, w.bias, w.values});
  graph::write_onnx(Source(plan_->model, plan_->network), sink, list);
}

std::vector<TrainedWeights> weights_of_model(const Source& model) {
  std::vector<TrainedWeights> out;
  const auto add = [&out](const graph::Node& n, bool bias, const std::vector<double>& values, std::vector<int> shape) {
    out.push_back({n.name, bias, values, std::move(shape)});
  };
  for (const graph::Node& n : graph::import_onnx(model).nodes) {
    if (const auto* c = std::get_if<graph::Conv2d>(&n.op)) {
      add(n, false, c->weights, {c->out_c, c->in_c, c->kernel_h, c->kernel_w});
      add(n, true, c->bias, {c->out_c});
    } else if (const auto* d = std::get_if<graph::Dense>(&n.op)) {
      add(n, false, d->weights, {d->out, d->in});
      add(n, true, d->bias, {d->out});
    } else if (const auto* a = std::get_if<graph::ChannelAffine>(&n.op)) {
      add(n, true, a->shift, {static_cast<int>(a->shift.size())});
    }
  }
  return out;
}

}  // namespace sotto
