// How many extreme pictures leave the range of a network, and whether they are marked: counted in float64, with
// polynomials and bootstrapping as they are beyond their ranges. A label is wrong if it is not that of the float model;
// it is missed if the image left a range and has no mark (polynomials err within their ranges, too). A development
// tool:
//
//   extremes MODEL.onnx TEST CALIBRATION|- [TEST_IMAGES [BASE_IMAGES]]
//
// TEST and CALIBRATION are sources of images as for `sotto`; - calibrates on made-up images.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numbers>
#include <random>

#include "base/error.h"
#include "base/parallel.h"
#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "compiler/probes.h"
#include "graph/calibrate.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "images/image_source.h"
#include "plan/probe.h"

namespace {

using namespace sotto;
using Values = std::vector<std::vector<double>>;

struct Picture {
  std::string kind;
  images::Image image;
};

// Pictures of one size: those that need a picture to begin with once per base image, noise as often.
std::vector<Picture> extreme_pictures(const std::vector<images::Image>& base) {
  std::vector<Picture> list;
  std::mt19937_64 rng(7);
  const images::Image& first = base.front();
  const auto drawn = [&](const std::string& kind, const std::function<int(int, int, int)>& value) {
    images::Image image = first;
    for (int c = 0, k = 0; c < image.channels; ++c)
      for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x)
          image.pixels[static_cast<std::size_t>(k++)] = static_cast<std::uint8_t>(value(c, y, x));
    list.push_back({kind, std::move(image)});
  };
  for (int colour = 0; colour < 8; ++colour)
    drawn("one colour", [&](int c, int, int) { return colour >> c & 1 ? 255 : 0; });
  for (int size : {1, 2, 4, 8})
    for (int phase = 0; phase < 2; ++phase)
      for (int channels = 1; channels < 8; ++channels) {
        const auto cell = [&](int c, int s) { return ((s + phase) % 2 == 0) == (channels >> c & 1) ? 255 : 0; };
        drawn("checkerboard", [&](int c, int y, int x) { return cell(c, y / size + x / size); });
        drawn("stripes", [&](int c, int y, int) { return cell(c, y / size); });
        drawn("stripes", [&](int c, int, int x) { return cell(c, x / size); });
      }
  for (const images::Image& b : base) {
    drawn("saturated noise", [&](int, int, int) { return rng() & 1 ? 255 : 0; });
    const unsigned seed = static_cast<unsigned>(rng());
    drawn("saturated grey noise",
          [&](int, int y, int x) { return std::mt19937(seed + static_cast<unsigned>(997 * y + x))() & 1 ? 255 : 0; });
    const auto at = [&](int c, int y, int x) {
      return static_cast<int>(b.pixels[static_cast<std::size_t>((c * b.height + y) * b.width + x)]);
    };
    drawn("inverted", [&](int c, int y, int x) { return 255 - at(c, y, x); });
    drawn("contrast x3", [&](int c, int y, int x) { return std::clamp(3 * (at(c, y, x) - 128) + 128, 0, 255); });
    drawn("thresholded", [&](int c, int y, int x) { return at(c, y, x) > 127 ? 255 : 0; });
  }
  return list;
}

struct Judged {
  double probe = 0, score = 0;  // over their bounds
  double range = 0;             // largest value over the range of what reads it
  std::vector<double> scores;
};

// One image alone, as it would run encrypted but for noise.
Judged judge(const plan::Plan& plan, const std::vector<double>& image) {
  Judged j;
  circuit::Hooks hooks;
  hooks.sum = [&](int s, std::vector<double>& values) {
    const plan::Step& step = plan.steps[static_cast<std::size_t>(s)];
    if (!step.slotwise()) return;
    // The sine of bootstrapping bends little: 1 % at ten times its peak.
    const double range =
        step.kind == plan::Kind::activate ? step.activation.range : 4 * plan.bootstrapping->input_peak / step.scale;
    for (double v : values) j.range = std::isfinite(v) ? std::max(j.range, std::abs(v) / range) : HUGE_VAL;
  };
  hooks.result = [&](int s, std::vector<double>& values) {
    const plan::Step& step = plan.steps[static_cast<std::size_t>(s)];
    for (const plan::Probe& p : plan.probes)
      if (p.tensor == step.output) j.probe = std::max(j.probe, plan::probe_value(plan, p, values) / p.bound);
    if (step.kind != plan::Kind::bootstrap) return;
    const double turn = 2 * std::numbers::pi * bootstrap::kMessageRatio * step.scale / plan.bootstrapping->input_peak;
    for (double& v : values) v = std::sin(std::fmod(turn * v, 2 * std::numbers::pi)) / turn;
  };
  j.scores = circuit::interpret(plan::view(plan), image, hooks);
  for (double s : j.scores) j.score = std::isfinite(s) ? std::max(j.score, std::abs(s) / plan.score_bound) : HUGE_VAL;
  return j;
}

std::size_t label(const std::vector<double>& scores) {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

struct Tally {
  std::size_t images = 0, by_probe = 0, by_score = 0, marked = 0, left = 0, wrong = 0, missed = 0;
  double probe = 0, score = 0, unmarked_probe = 0;
};

int run(int argc, char** argv) {
  if (argc < 4) throw Error(ErrorCode::usage, "extremes MODEL.onnx TEST CALIBRATION|- [TEST_IMAGES [BASE_IMAGES]]");
  const std::size_t count = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 1000;
  const std::size_t bases = argc > 5 ? std::strtoul(argv[5], nullptr, 10) : 100;
  graph::Network network = graph::import_onnx(argv[1]);
  const plan::Interface io = compiler::interface_of(network);
  compiler::Calibration calibration = compiler::made_up_calibration(io);
  if (std::string(argv[3]) != "-") {
    const auto all = images::load_images({argv[3]}, io, 0, std::nullopt);
    Values values;
    for (std::size_t k = 0; k < all.size(); k += (all.size() + 255) / 256)
      values.push_back(images::preprocess(all[k], io));
    calibration = compiler::calibration_from(std::move(values));
  }
  if (graph::needs_ranges(network)) graph::set_ranges(network, graph::magnitudes(network, calibration.images), true);
  const double relu_error = compiler::relu_error_for(network);
  plan::Plan plan = compiler::compile(compiler::measured_circuit(network, calibration, relu_error), {.batch = 16}).plan;
  compiler::measure_probes(plan, calibration);
  fmt::print("{}: batch {}, tile {}x{}, {} probes, scores up to {:.3g}\n", network.name, plan.batch, plan.tile.h,
             plan.tile.w, plan.probes.size(), plan.score_bound);

  auto tests = images::load_images({argv[2]}, io, 0, count);
  std::vector<Picture> pictures;
  for (const auto& image : tests) pictures.push_back({"test images", image});
  tests.resize(std::min(tests.size(), bases));
  for (auto& p : extreme_pictures(tests)) pictures.push_back(std::move(p));
  Values values;
  for (const Picture& p : pictures) values.push_back(images::preprocess(p.image, io));
  std::vector<Judged> judged(values.size());
  parallel_for(values.size(), [&](std::size_t k) { judged[k] = judge(plan, values[k]); });
  const auto plain = graph::evaluate_all(network, values, [](std::size_t) {});

  std::map<std::string, Tally> tallies;
  for (std::size_t k = 0; k < pictures.size(); ++k) {
    Tally& t = tallies[pictures[k].kind];
    const Judged& j = judged[k];
    const bool probe = !(j.probe <= 1), score = !(j.score <= 1), wrong = label(j.scores) != label(plain[k]);
    ++t.images;
    t.by_probe += probe;
    t.by_score += score;
    t.marked += probe || score;
    t.wrong += wrong;
    t.left += j.range > 1;
    t.missed += wrong && j.range > 1 && !probe && !score;
    t.probe = std::max(t.probe, j.probe);
    t.score = std::max(t.score, j.score);
    if (!probe && !score) t.unmarked_probe = std::max(t.unmarked_probe, j.probe);
  }
  fmt::print("{:<22}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>14}{:>14}{:>14}\n", "kind", "images", "probe", "score",
             "marked", "left", "wrong", "missed", "largest probe", "largest score", "unmarked probe");
  for (const auto& [kind, t] : tallies)
    fmt::print("{:<22}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>14.3g}{:>14.3g}{:>14.3g}\n", kind, t.images, t.by_probe,
               t.by_score, t.marked, t.left, t.wrong, t.missed, t.probe, t.score, t.unmarked_probe);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const sotto::Error& e) {
    fmt::print(stderr, "extremes: {}\n", e.what());
    return static_cast<int>(e.code());
  }
}
