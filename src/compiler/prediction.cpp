#include "compiler/prediction.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>
#include <numeric>
#include <optional>

#include "base/normal_draws.h"
#include "base/parallel.h"
#include "circuit/interpret.h"
#include "graph/interpreter.h"
#include "plan/noise.h"
#include "plan/simulation.h"

namespace sotto::compiler {

namespace {

// Errors are kept to this part of the spread: margins of a few images say little about those of many.
constexpr double kErrorOfSpread = 1.0 / 320;
// Best scores that lie closer, over the largest score, are tied already in single precision: there is no right label.
constexpr double kTie = 0x1p-20;
// The same over the spread for made-up images, of which plain ones can leave a network without an opinion.
constexpr double kMadeUpTie = 0x1p-8;
// Flips seen from which on their number is taken as it is.
constexpr std::size_t kCounted = 20;
// The smallest margins that tell how many there are next to zero.
constexpr std::size_t kClosest = 16;

// What a label depends on: the best score and the next one, or on which side of the middle of all images a single
// score lies.
struct Top {
  std::size_t first = 0, second = 0;
  double side = 1, middle = 0;

  Top(const std::vector<double>& scores, double middle_of_all) : middle(middle_of_all) {
    if (scores.size() == 1) side = scores[0] < middle ? -1 : 1;
    first = static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin());
    second = first == 0 && scores.size() > 1 ? 1 : 0;
    for (std::size_t k = 0; k < scores.size(); ++k)
      if (k != first && scores[k] > scores[second]) second = k;
  }
  [[nodiscard]] bool same(const Top& other) const { return first == other.first && side == other.side; }
  [[nodiscard]] double margin(const std::vector<double>& scores) const {
    return scores.size() == 1 ? side * (scores[0] - middle) : scores[first] - scores[second];
  }
  // Whether single precision cannot tell the two apart.
  [[nodiscard]] bool equal(const std::vector<double>& scores) const {
    const auto [least, most] = std::ranges::minmax(scores);
    return margin(scores) <= kTie * std::max(-least, most);
  }
  [[nodiscard]] bool tied(const std::vector<double>& scores, double tie) const {
    return margin(scores) <= tie || equal(scores);
  }
};

// How many of these labels are lost, from p(m), the probability that a margin of m is, and area(c), its integral from 0
// to c. Of a few hundred images hardly any has a margin as small as errors are, and one that has counts for hundreds of
// labels. So as many margins as the closest ones are taken to lie evenly between 0 and the last of these, unless the
// counted ones are more than chance explains: there are more labels that are close then.
template <class Probability, class Area>
double lost_labels(std::vector<double> margins, const Probability& p, const Area& area) {
  const std::size_t rank = std::min(kClosest, margins.size());
  if (rank == 0) return 0;
  const auto last = margins.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
  std::ranges::nth_element(margins, last);
  const auto sum = [&](auto first, auto end) {
    return std::accumulate(first, end, 0.0, [&](double lost, double m) { return lost + p(m); });
  };
  const double farther = sum(last + 1, margins.end()), counted = sum(margins.begin(), last + 1) + farther;
  if (*last <= 0) return counted;
  const double expected = static_cast<double>(rank) / *last * area(*last) + farther;
  return counted > expected + 2 * std::sqrt(expected) + 1 ? counted : expected;
}

// The part of labels that survives, from margins and from what errors do to them. Every error is tried on every margin,
// so that a few images tell of rare flips.
double agreement_of(const std::vector<double>& margins, std::vector<double> changes, std::size_t flips) {
  if (margins.empty()) return 1;
  const auto count = static_cast<double>(changes.size());
  if (flips >= kCounted) return 1 - static_cast<double>(flips) / count;
  std::ranges::sort(changes);
  const double lost = lost_labels(
      margins,
      [&](double m) { return static_cast<double>(std::ranges::lower_bound(changes, -m) - changes.begin()) / count; },
      [&](double c) {
        double area = 0;
        for (double change : changes) area += std::clamp(-change, 0.0, c);
        return area / count;
      });
  return 1 - lost / count;
}

// all: the scores of every image, or nothing where it is left out.
plan::Prediction compare(const Calibration& calibration, const Reference& reference,
                         const std::vector<std::optional<std::vector<double>>>& all) {
  plan::Prediction out;
  out.made_up = calibration.made_up;
  out.spread = reference.spread;
  std::vector<double> margins, changes;
  double squares = 0;
  std::size_t flips = 0, values = 0, equal = 0, equal_kept = 0;
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (!all[k]) continue;
    const std::vector<double>&scores = *all[k], &exact = reference.scores[k];
    const Top top(exact, reference.middle);
    ++out.images;
    if (!top.tied(exact, reference.tie)) {
      margins.push_back(top.margin(exact));
      changes.push_back(top.margin(scores) - margins.back());
      flips += !Top(scores, reference.middle).same(top);
    } else if (!calibration.made_up && top.equal(exact)) {
      ++equal;  // rounding decides
      equal_kept += Top(scores, reference.middle).same(top);
    }
    for (std::size_t c = 0; c < exact.size(); ++c, ++values) squares += std::pow(scores[c] - exact[c], 2);
  }
  out.score_error = values == 0 ? 0 : std::sqrt(squares / static_cast<double>(values));
  out.label_agreement = agreement_of(margins, std::move(changes), flips);
  if (equal > 0) {
    const auto with_labels = static_cast<double>(margins.size()), ties = static_cast<double>(equal);
    out.label_agreement = (out.label_agreement * with_labels + static_cast<double>(equal_kept)) / (with_labels + ties);
  }
  return out;
}

// Whether an image's values stay within the ranges of the activations, as hooks see them.
circuit::Hooks range_check(const circuit::View& circuit, bool& inside) {
  circuit::Hooks hooks;
  hooks.sum = [&](int k, std::vector<double>& sum) {
    const circuit::Op& op = *circuit.ops[static_cast<std::size_t>(k)];
    if (op.kind != circuit::Op::Kind::activate) return;
    for (double v : sum) inside = inside && std::abs(v) <= op.activation.range;
  };
  return hooks;
}

// The errors of encryption, drawn for one image.
class DrawnErrors {
 public:
  DrawnErrors(const Compiled& compiled, std::uint64_t seed)
      : plan_(compiled.plan),
        circuit_(plan::view(plan_)),
        errors_(compiled.weight_errors),
        rotated_(compiled.rotated),
        primes_(ckks::primes_of(plan_.parameters)),
        normal_(seed),
        energy_(plan_.tensors.size()) {}

  // Scores of the image, and whether its values keep within the ranges.
  std::vector<double> run(const std::vector<double>& image, bool& inside) {
    circuit::Hooks hooks = range_check(circuit_, inside);
    hooks.input = [&](std::vector<double>& v) {
      disturb(0, v, plan::NoiseModel::encryption(plan_.parameters.log_n) / plan_.input().scale);
    };
    hooks.sum = [&, check_range = hooks.sum](int s, std::vector<double>& sum) {
      check_range(s, sum);
      round_weights(static_cast<std::size_t>(s), sum);
      divide_early(plan_.steps[static_cast<std::size_t>(s)], sum);
    };
    hooks.result = [&](int s, std::vector<double>& v) {
      const plan::Step& step = plan_.steps[static_cast<std::size_t>(s)];
      double deviation = plan::NoiseModel::rounding(plan_.parameters.log_n) /
                         plan_.tensors[static_cast<std::size_t>(step.output)].scale;
      if (step.kind == plan::Kind::sum && step.late == 0) deviation = 0;
      if (step.kind == plan::Kind::bootstrap)
        deviation = std::hypot(deviation, plan::NoiseModel::bootstrap() * plan_.bootstrapping->input_peak / step.scale);
      disturb(step.output, v, deviation);
    };
    return circuit::interpret(circuit_, image, hooks);
  }

 private:
  void round_weights(std::size_t s, std::vector<double>& sum) {
    const plan::Step& step = plan_.steps[s];
    if (step.slotwise()) return;
    std::vector<double> variance(
        static_cast<std::size_t>(plan_.tensors[static_cast<std::size_t>(step.output)].layout.channels));
    for (std::size_t k = 0; k < step.terms.size(); ++k)
      errors_[s][k].add_to(variance, energy_[static_cast<std::size_t>(step.terms[k].source)]);
    const std::size_t plane = sum.size() / variance.size();
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += std::sqrt(variance[k / plane]) / step.scale * normal_();
  }

  void divide_early(const plan::Step& step, std::vector<double>& sum) {
    if (step.early == 0) return;
    const double deviation = plan::NoiseModel::rounding(plan_.parameters.log_n) *
                             plan::Divisors(plan::levels_of(plan_, step), primes_).early / step.scale;
    for (double& v : sum) v += deviation * normal_();
  }

  void disturb(int tensor, std::vector<double>& v, double deviation) {
    const plan::Tensor& t = plan_.tensors[static_cast<std::size_t>(tensor)];
    // A copy for every rotation errs anew; here all of them err alike.
    deviation = std::hypot(deviation, std::sqrt(rotated_[static_cast<std::size_t>(tensor)]) *
                                          plan::NoiseModel::rounding(plan_.parameters.log_n) / t.scale);
    std::vector<double>& energy = energy_[static_cast<std::size_t>(tensor)];
    energy.assign(static_cast<std::size_t>(t.layout.channels), 0);
    const std::size_t plane = v.size() / energy.size();
    for (std::size_t k = 0; k < v.size(); ++k) {
      v[k] += deviation * normal_();
      energy[k / plane] += std::pow(v[k] * t.scale, 2) / static_cast<double>(plane);
    }
  }

  const plan::Plan& plan_;
  circuit::View circuit_;
  const std::vector<std::vector<WeightErrors>>& errors_;
  const std::vector<double>& rotated_;
  std::vector<std::uint64_t> primes_;
  NormalDraws normal_;
  std::vector<std::vector<double>> energy_;  // [tensor][channel]: mean squares of the slots
};

// A prediction from runs of one image after the other: run(image, inside).
template <class Run>
plan::Prediction predict_on_images(const Calibration& calibration, const Reference& reference, const Run& run,
                                   const std::function<void(std::size_t)>& progress) {
  std::vector<std::optional<std::vector<double>>> all(calibration.images.size());
  std::size_t done = 0;
  std::mutex mutex;
  parallel_for(all.size(), [&](std::size_t k) {
    bool inside = true;
    std::vector<double> scores = run(k, inside);
    const std::scoped_lock lock(mutex);
    if (inside) all[k] = std::move(scores);
    if (progress) progress(++done);
  });
  return compare(calibration, reference, all);
}

}  // namespace

double Reference::score_error_for(double agreement) const {
  std::vector<double> margins;
  for (const auto& s : scores)
    if (const Top top(s, middle); !top.tied(s, tie)) margins.push_back(top.margin(s));
  double low = 0, high = spread * kErrorOfSpread;
  const auto lost = [&](double error) {
    // Of two scores: the deviation of their difference is sqrt(2) error.
    const auto gone = [&](double m) { return std::erfc(m / (2 * error)) / 2; };
    const auto area = [&](double c) {
      return c * gone(c) - error * std::expm1(-std::pow(c / (2 * error), 2)) / std::sqrt(std::numbers::pi);
    };
    return lost_labels(margins, gone, area) / static_cast<double>(std::max<std::size_t>(margins.size(), 1));
  };
  if (lost(high) <= 1 - agreement) return high;
  for (int k = 0; k < 60; ++k) {
    const double between = (low + high) / 2;
    (lost(between) <= 1 - agreement ? low : high) = between;
  }
  return low;
}

double Reference::ties() const {
  const auto equal = std::ranges::count_if(
      scores, [&](const std::vector<double>& s) { return s.size() > 1 && Top(s, middle).equal(s); });
  return static_cast<double>(equal) / static_cast<double>(std::max<std::size_t>(scores.size(), 1));
}

Reference reference_of(const graph::Network& network, const Calibration& calibration,
                       const std::function<void(std::size_t)>& progress) {
  Reference out;
  out.scores = graph::evaluate_all(network, calibration.images, progress);
  const auto images = static_cast<double>(std::max<std::size_t>(out.scores.size(), 1));
  const std::size_t classes = out.scores.empty() ? 0 : out.scores.front().size();
  double variance = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    double mean = 0;
    for (const auto& s : out.scores) mean += s[c] / images;
    out.middle = mean;
    for (const auto& s : out.scores) variance += (s[c] - mean) * (s[c] - mean) / images;
  }
  out.spread = std::sqrt(variance / static_cast<double>(std::max<std::size_t>(classes, 1)));
  out.tie = calibration.made_up ? kMadeUpTie * out.spread : 0;
  return out;
}

plan::Prediction predict(const plan::Plan& plan, const Calibration& calibration, const Reference& reference,
                         const std::function<void(std::size_t)>& progress) {
  plan::SimulationHooks hooks;
  const std::size_t images = calibration.images.size();
  if (progress) hooks.progress = [&](std::size_t done, std::size_t of) { progress(images * done / of); };
  const plan::Simulated simulated = plan::simulate(plan, calibration.images, 1, hooks);
  std::vector<std::optional<std::vector<double>>> all(images);
  for (std::size_t k = 0; k < images; ++k)
    if (simulated.inside[k]) all[k] = simulated.scores[k];
  return compare(calibration, reference, all);
}

plan::Prediction predict_by_variances(const Compiled& compiled, const Calibration& calibration,
                                      const Reference& reference, const std::function<void(std::size_t)>& progress) {
  return predict_on_images(
      calibration, reference,
      [&](std::size_t k, bool& inside) { return DrawnErrors(compiled, k).run(calibration.images[k], inside); },
      progress);
}

plan::Prediction predict_polynomials(const circuit::Circuit& circuit, const Calibration& calibration,
                                     const Reference& reference, const std::function<void(std::size_t)>& progress) {
  const circuit::View view(circuit);
  return predict_on_images(
      calibration, reference,
      [&](std::size_t k, bool& inside) {
        return circuit::interpret(view, calibration.images[k], range_check(view, inside));
      },
      progress);
}

}  // namespace sotto::compiler
