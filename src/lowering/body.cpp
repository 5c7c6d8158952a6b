#include "lowering/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compiler/compile.h"
#include "compiler/prediction.h"
#include "compiler/probes.h"
#include "graph/calibrate.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "lowering/compile.h"
#include "plan/cost.h"
#include "plan/simulation.h"
#include "program/builder.h"
#include "training/layers.h"
#include "training/trained.h"

namespace sotto::lowering {

namespace {

constexpr int kLogN = 16;  // of all plans
constexpr double kWantedError = 0.01, kMostError = 0.05;  // of features, as parts of their spread
constexpr double kRangeMargin = 1.5;                      // over the largest value on calibration images
constexpr double kMostSimulated = 2e11;                   // multiply-adds, some minutes

double largest(const std::vector<std::vector<double>>& lists) {
  double most = 0;
  for (const auto& list : lists)
    for (double v : list) most = std::max(most, std::abs(v));
  return most;
}

}  // namespace

int feature_limbs(int log_n) { return bootstrap_spec(log_n).input_limbs() + 1; }

Body compile_body(const graph::Network& network, int features, int batch, compiler::Calibration calibration,
                  const std::function<void(const std::string&)>& note) {
  calibration = compiler::thinned(std::move(calibration), graph::multiply_adds(network));
  const std::size_t count = network.nodes[static_cast<std::size_t>(features)].shape.size();
  const training::Standard none{std::vector<double>(count, 0), std::vector<double>(count, 1)};
  training::Standard standard =
      training::standard_of(graph::evaluate_all(training::body_of(network, features, none), calibration.images));
  graph::Network body = training::body_of(network, features, standard);
  if (graph::needs_ranges(body))
    graph::set_ranges(body, graph::magnitudes(body, calibration.images), kRangeMargin, calibration.made_up);
  const compiler::Reference reference = compiler::reference_of(body, calibration);
  compiler::Options options;
  options.batch = batch;
  options.output_limbs = feature_limbs(kLogN);
  options.score_error = kWantedError * reference.spread;
  compiler::Compiled compiled =
      compiler::compile(compiler::measured_circuit(body, calibration, compiler::relu_error_for(body)), options);
  plan::Plan& plan = compiled.plan;
  plan.prediction = plan::simulation_work(plan, calibration.images.size()) > kMostSimulated
                        ? compiler::predict_by_variances(compiled, calibration, reference)
                        : compiler::predict(plan, calibration, reference);
  const double error = plan.prediction.score_error / plan.prediction.spread;
  if (!(error <= kMostError))
    throw Error(ErrorCode::no_resources,
                fmt::format("the features that the layers in front of those to be trained make are predicted to err by "
                            "{:.2g} % of their spread: layer '{}' errs most",
                            100 * error, compiled.worst().name));
  if (note)
    note(fmt::format("{}: the {} features in front of what is trained are predicted to err by {:.2g} % of their spread, "
                     "measured on {} {}images",
                     body.name, plan.io.outputs, 100 * error, plan.prediction.images,
                     calibration.made_up ? "made-up " : ""));
  compiler::measure_probes(plan, calibration);
  Body out{plan::client_part(plan), std::nullopt, std::move(standard),
           std::exp2(std::ceil(std::log2(kRangeMargin * largest(reference.scores)))), plan::estimate(plan).peak_bytes};
  out.plan = std::move(plan);
  return out;
}

graph::Network trained_part(const graph::Network& network, const training::Spec& spec,
                            const std::optional<Body>& body) {
  if (!body) return network;
  const training::Shape shape = training::shape_of_features(body->client.io.outputs, body->client.tile);
  return training::head_of(network, *training::features_of(network, spec), shape, body->standard);
}

std::vector<std::vector<double>> weights_of_model(const TrainingPlan& plan, std::vector<std::vector<double>> weights) {
  return plan.body ? training::without_standard(plan.step, std::move(weights), plan.body->standard) : weights;
}

double feature_scale(const TrainingPlan& plan) { return plan.levels.bootstrapping.input_peak / plan.body->range; }

std::vector<training::Example> seen_by_step(const TrainingPlan& plan, std::vector<training::Example> examples,
                                            const std::function<void(std::size_t)>& progress) {
  if (!plan.body || examples.empty()) return examples;
  const graph::Network network =
      training::network_to_train(graph::import_onnx(Source(plan.model, plan.network)), plan.spec);
  const graph::Network body =
      training::body_of(network, *training::features_of(network, plan.spec), plan.body->standard);
  std::vector<std::vector<double>> images;
  for (training::Example& e : examples) images.push_back(std::move(e.image));
  std::vector<std::vector<double>> features = graph::evaluate_all(body, images, progress);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i].image = std::move(features[i]);
  return examples;
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
  const int limbs = spec.input_limbs() + 1;
  const double scale = feature_scale(plan) * builder.prime(limbs - 1);
  std::vector<int> inputs;
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
        row.push_back(builder.mix({feature}, {{mask}}, scale, limbs, 1).front());
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
