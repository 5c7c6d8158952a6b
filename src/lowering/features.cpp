#include "lowering/features.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "program/builder.h"
#include "training/layers.h"
#include "training/trained.h"

namespace sotto::lowering {

std::vector<std::vector<double>> weights_of_model(const TrainingPlan& plan, std::vector<std::vector<double>> weights) {
  return plan.body ? training::without_standard(plan.step, std::move(weights), plan.body->standard) : weights;
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
  return static_cast<std::size_t>(std::ranges::count_if(seen, [&](const training::Example& e) {
    return std::ranges::any_of(e.image, [&](double v) { return !(std::abs(v) <= plan.body->range); });
  }));
}

program::Program pack_features(const TrainingPlan& plan) {
  const Body& body = *plan.body;
  const Arrangement& a = plan.arrangement;
  const Layout& layout = a.layouts[static_cast<std::size_t>(plan.step.images)];
  const bootstrap::BootstrapSpec& spec = plan.levels.bootstrapping;
  program::Builder builder(ckks::primes_of(plan.parameters), plan.levels.least_scale, spec.input_limbs());
  program::Pattern first(static_cast<std::size_t>(a.positions()));
  first[0] = 1;
  const program::Factor mask{builder.pattern(std::move(first)), -1};
  const int rescales = mask_rescales(body, spec), limbs = spec.input_limbs() + rescales;
  double scale = feature_scale(spec, body);
  for (int l = spec.input_limbs(); l < limbs; ++l) scale *= builder.prime(l);
  std::vector<int> inputs;
  inputs.reserve(static_cast<std::size_t>(body.client.io.outputs));
  for (int k = 0; k < body.client.io.outputs; ++k)
    inputs.push_back(builder.input(body.client.output_limbs, body.client.output_scale));
  // Features go to their positions, row by row, then the rows to theirs.
  for (int c = 0; c < layout.channels; ++c) {
    std::vector<int> rows;
    std::vector<std::int64_t> down;
    for (int y = 0; y < layout.height; ++y) {
      std::vector<int> row;
      std::vector<std::int64_t> right;
      for (int x = 0; x < layout.width; ++x) {
        const int feature = inputs[static_cast<std::size_t>((c * layout.height + y) * layout.width + x)];
        row.push_back(builder.mix({feature}, {{mask}}, scale, limbs, rescales).front());
        right.push_back(-x);
      }
      rows.push_back(builder.join(std::move(row), std::move(right)));
      down.push_back(std::int64_t{-y} * a.tile);
    }
    builder.output(builder.join(std::move(rows), std::move(down)));
  }
  return builder.take();
}

}  // namespace sotto::lowering
