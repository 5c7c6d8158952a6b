#include "lowering/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "compiler/compile.h"
#include "compiler/prediction.h"
#include "compiler/probes.h"
#include "graph/calibrate.h"
#include "graph/interpreter.h"
#include "lowering/masks.h"
#include "lowering/step_bootstrap.h"
#include "plan/cost.h"
#include "plan/simulation.h"
#include "training/layers.h"
#include "training/map_features.h"

namespace sotto::lowering {

namespace {

constexpr int kLogN = 16;                                 // of all plans
constexpr double kWantedError = 0.01, kMostError = 0.05;  // of features, as parts of their spread
constexpr double kCheaplyFiner = 16;                      // how much smaller errors are where that takes only seconds
constexpr double kFinerMask = 0x1p8;                      // than others: what lies beside features can be large
constexpr double kRangeMargin = 1.5;                      // over the largest value on calibration images
constexpr double kLeastInside = 0.5;                      // part of the images, for a prediction
constexpr int kMoreLimbs = 2;                             // than one mask takes
constexpr int kMostBatch = 65536;                         // of a plan
constexpr double kMostSimulated = 2e11;                   // multiply-adds, some minutes

double largest(const std::vector<std::vector<double>>& lists) {
  double most = 0;
  for (const auto& list : lists)
    for (double v : list) most = std::max(most, std::abs(v));
  return most;
}

// By how much the nodes behind features shrink maps, at most.
int strides_behind(const graph::Network& network, int features) {
  std::vector<int> strides(network.nodes.size(), 1);
  for (std::size_t i = static_cast<std::size_t>(features) + 1; i < strides.size(); ++i) {
    for (int k : network.nodes[i].inputs) strides[i] = std::max(strides[i], strides[static_cast<std::size_t>(k)]);
    if (const auto* c = std::get_if<graph::Conv2d>(&network.nodes[i].op))
      strides[i] *= std::max(c->stride_h, c->stride_w);
    if (const auto* p = std::get_if<graph::AveragePool>(&network.nodes[i].op))
      strides[i] *= std::max(p->stride_h, p->stride_w);
  }
  return *std::ranges::max_element(strides);
}

// Images of a run in whose tiles the maps of features lie without gaps, with room for the strides behind: as the steps
// arrange them.
int images_of_maps(const graph::Network& network, int features) {
  const graph::Shape& shape = network.nodes[static_cast<std::size_t>(features)].shape;
  const int side = static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(shape.h, shape.w))));
  const int tile = std::max(side / strides_behind(network, features), 1);
  return std::max((1 << kLogN) / (tile * tile), 1);
}

}  // namespace

int mask_rescales(const Body& body, const bootstrap::BootstrapSpec& bootstrapping) {
  const plan::ClientSpec& c = body.client;
  const double wanted = kFinerMask * mask_scale(static_cast<std::size_t>(c.tile.area()));
  double scale = bootstrapping.input_peak / body.range / c.output_scale;  // of the mask, with no prime to divide by
  int rescales = 0;
  do {
    if (bootstrapping.input_limbs() + ++rescales > c.output_level.limbs) return 0;
    scale *= std::exp2(c.parameters.prime_bits);
  } while (scale < wanted);
  return rescales;
}

Body compile_body(const graph::Network& network, int features, const training::Spec& spec,
                  compiler::Calibration calibration, const compiler::PlanningHooks& hooks,
                  ckks::SecurityLevel security) {
  calibration = compiler::thinned(std::move(calibration), graph::multiply_adds(network));
  const std::size_t images = calibration.images.size();
  const graph::Shape& shape = network.nodes[static_cast<std::size_t>(features)].shape;
  const bool maps = training::has_joined_features(spec);
  const training::Standard none{std::vector<double>(static_cast<std::size_t>(shape.c), 0),
                                std::vector<double>(static_cast<std::size_t>(shape.c), 1)};
  const std::vector<std::vector<double>> values = graph::evaluate_all(
      training::body_of(network, features, none), calibration.images, hooks.images("features", images));
  training::Standard standard =
      maps ? training::standard_of_maps(network, features, values) : training::standard_of(values);
  graph::Network body = training::body_of(network, features, standard);
  if (graph::needs_ranges(body))
    graph::set_ranges(body, graph::magnitudes(body, calibration.images, hooks.images("ranges", images)),
                      calibration.made_up);
  const compiler::Reference reference = compiler::reference_of(body, calibration, hooks.images("float model", images));
  if (!(reference.spread > 0))
    throw Error(ErrorCode::bad_input, "the layers in front of those to be trained make the same of all images");
  const bootstrap::BootstrapSpec bootstrapping = bootstrap_spec(kLogN);
  const compiler::MeasuredCircuit circuit =
      compiler::measured_circuit(body, calibration, compiler::relu_error_for(body), hooks.images("values", images),
                                 maps ? compiler::Output::map : compiler::Output::scores);
  compiler::Options options;
  options.security = security;
  options.batch = std::min(maps ? std::max(spec.batch, images_of_maps(network, features)) : spec.batch, kMostBatch);
  options.square_tiles = true;
  options.small_primes = false;  // its ring is that of the training
  options.output_limbs = feature_limbs(kLogN);
  options.score_error = kWantedError * reference.spread;
  options.cheap_score_error = options.score_error / kCheaplyFiner;
  Body out{.standard = std::move(standard),
           .maps = maps,
           .range = std::exp2(std::ceil(std::log2(kRangeMargin * largest(reference.scores))))};
  hooks.stage("precision");
  std::optional<compiler::Compiled> made;
  for (; !made; ++options.output_limbs) {  // large scales take more limbs
    if (options.output_limbs > feature_limbs(kLogN) + kMoreLimbs)
      throw Error(ErrorCode::no_resources, "the features in front of what is to be trained leave no room to pack them");
    compiler::Compiled compiled = compiler::compile(circuit, options);
    out.client = plan::client_part(compiled.plan);
    if (mask_rescales(out, bootstrapping) > 0) made = std::move(compiled);
  }
  compiler::Compiled& compiled = *made;
  plan::Plan& plan = compiled.plan;
  const auto predicted = hooks.images("prediction", images);
  plan.prediction = plan::simulation_work(plan, images) > kMostSimulated
                        ? compiler::predict_by_variances(compiled, calibration, reference, predicted)
                        : compiler::predict(plan, calibration, reference, predicted);
  if (static_cast<double>(plan.prediction.images) < kLeastInside * static_cast<double>(images))
    throw Error(
        ErrorCode::no_resources,
        fmt::format("the values of {} of {} images leave the ranges of the layers in front of those to be trained, "
                    "so there is no telling how much their features err",
                    images - static_cast<std::size_t>(plan.prediction.images), images),
        Setting::calibration);
  const double error = plan.prediction.score_error / plan.prediction.spread;
  if (!(error <= kMostError))
    throw Error(ErrorCode::no_resources,
                fmt::format("the features that the layers in front of those to be trained make are predicted to err by "
                            "{:.2g} % of their spread: layer '{}' errs most",
                            100 * error, compiled.worst().name));
  if (hooks.note)
    hooks.note(
        fmt::format("{}: the {} {} in front of what is trained are predicted to err by {:.2g} % of their spread, "
                    "measured on {} {}images",
                    body.name, plan.io.outputs, maps ? "maps" : "features", 100 * error, plan.prediction.images,
                    calibration.made_up ? "made-up " : ""));
  compiler::measure_probes(plan, calibration);
  out.client = plan::client_part(plan);
  // Part of the plan's identity, which is the same on all machines.
  out.bytes = plan::estimate(plan, kThreadsOfBytes).peak_bytes;
  out.plan = std::move(plan);
  return out;
}

graph::Network trained_part(const graph::Network& network, const training::Spec& spec,
                            const std::optional<Body>& body) {
  if (!body) return network;
  if (body->maps) return training::head_behind_maps(network, *training::features_of(network, spec), body->standard);
  const training::Shape shape = training::shape_of_features(body->client.io.outputs, body->client.tile.h);
  return training::head_of(network, *training::features_of(network, spec), shape, body->standard);
}

}  // namespace sotto::lowering
