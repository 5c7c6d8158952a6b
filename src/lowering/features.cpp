#include "lowering/features.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "program/builder.h"
#include "training/layers.h"
#include "training/optimiser.h"
#include "training/trained.h"

namespace sotto::lowering {

std::vector<graph::NewWeights> weights_of_model(const TrainingPlan& plan, std::vector<std::vector<double>> weights) {
  const graph::Network network = graph::import_onnx(Source(plan.model, plan.network));
  if (plan.body && !plan.body->maps)
    weights = training::without_standard(plan.step, std::move(weights), plan.body->standard);
  return training::new_weights(network, plan.spec, plan.step, weights);
}

double feature_scale(const bootstrap::BootstrapSpec& bootstrapping, const Body& body) {
  return bootstrapping.input_peak / body.range;
}

std::vector<training::Example> seen_by_step(const TrainingPlan& plan, std::vector<training::Example> examples,
                                            const std::function<void(std::size_t)>& progress) {
  if (!plan.body || examples.empty()) return examples;
  const graph::Network network =
      training::network_to_train(graph::import_onnx(Source(plan.model, plan.network)), plan.spec);
  const graph::Network body =
      training::body_of(network, *training::features_of(network, plan.spec), plan.body->standard);
  std::vector<std::vector<double>> images;
  images.reserve(examples.size());
  for (training::Example& e : examples) images.push_back(std::move(e.image));
  std::vector<std::vector<double>> features = graph::evaluate_all(body, images, progress);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i].image = std::move(features[i]);
  return examples;
}

std::size_t out_of_range(const TrainingPlan& plan, const std::vector<training::Example>& seen) {
  if (!plan.body) return 0;
  std::size_t count = 0;
  for (const std::vector<std::size_t>& batch : training::batches_of(plan.spec, seen.size()))
    count += static_cast<std::size_t>(std::ranges::count_if(batch, [&](std::size_t i) {
      return std::ranges::any_of(seen[i].image, [&](double v) { return !(std::abs(v) <= plan.body->range); });
    }));
  return count;
}

namespace {

// Writes the program that packs the features of a body.
class Packing {
 public:
  explicit Packing(const TrainingPlan& plan)
      : body_(*plan.body),
        a_(plan.arrangement),
        layout_(a_.layouts[static_cast<std::size_t>(plan.step.images)]),
        spec_(plan.levels.bootstrapping),
        builder_(ckks::primes_of(plan.parameters), plan.levels.least_scale, spec_.input_limbs()),
        rescales_(mask_rescales(body_, spec_)),
        scale_(feature_scale(spec_, body_)) {
    for (int l = spec_.input_limbs(); l < spec_.input_limbs() + rescales_; ++l) scale_ *= builder_.prime(l);
    const int inputs = body_.maps ? layout_.ciphertexts() : body_.client.io.outputs;
    for (int k = 0; k < inputs; ++k)
      inputs_.push_back(builder_.input(body_.client.output_level.limbs, body_.client.output_scale));
  }

  program::Program run() {
    body_.maps ? maps() : scores();
    return builder_.take();
  }

 private:
  // What lies where the flags are, at the scale of features.
  int masked(std::size_t input, const std::vector<bool>& flags) {
    const program::Factor mask{builder_.pattern(program::Pattern(flags.begin(), flags.end())), -1};
    return builder_.mix({inputs_[input]}, {{mask}}, scale_, spec_.input_limbs() + rescales_, rescales_).front();
  }

  // A run gives [phase][channel], the step takes [channel][phase].
  void maps() {
    for (int c = 0; c < layout_.channels; ++c)
      for (int phase = 0; phase < layout_.phase_count(); ++phase)
        builder_.output(
            masked(static_cast<std::size_t>(phase * layout_.channels + c), pixels_of(layout_, a_.tile, phase)));
  }

  // Features go to their positions, row by row, then the rows to theirs.
  void scores() {
    std::vector<bool> first(static_cast<std::size_t>(a_.positions()));
    first[0] = true;
    for (int c = 0; c < layout_.channels; ++c) {
      std::vector<int> rows;
      std::vector<std::int64_t> down;
      for (int y = 0; y < layout_.height; ++y) {
        std::vector<int> row;
        std::vector<std::int64_t> right;
        for (int x = 0; x < layout_.width; ++x) {
          row.push_back(masked(static_cast<std::size_t>((c * layout_.height + y) * layout_.width + x), first));
          right.push_back(-x);
        }
        rows.push_back(builder_.join(std::move(row), std::move(right)));
        down.push_back(std::int64_t{-y} * a_.tile);
      }
      builder_.output(builder_.join(std::move(rows), std::move(down)));
    }
  }

  const Body& body_;
  const Arrangement& a_;
  const Layout& layout_;
  const bootstrap::BootstrapSpec& spec_;
  program::Builder builder_;
  int rescales_;
  double scale_;
  std::vector<int> inputs_;
};

}  // namespace

program::Program pack_features(const TrainingPlan& plan) { return Packing(plan).run(); }

}  // namespace sotto::lowering
