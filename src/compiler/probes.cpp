#include "compiler/probes.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>

#include "base/parallel.h"
#include "circuit/interpret.h"
#include "plan/identity.h"
#include "plan/probe.h"

namespace sotto::compiler {

namespace {

using plan::Kind;
using plan::Step;

// A patch of white has the largest sum that inputs can have, and a function that saturates the largest one of its
// results, everywhere: noise must not mark them.
constexpr double kRoom = 1.05;
// Of inputs over the largest of the user's images, as of all other values (calibration_from).
constexpr double kInputRoom = 1.5;

// Values that a polynomial gives over its range.
std::pair<double, double> extent(const plan::Activation& a) {
  constexpr int kSamples = 2048;
  double least = HUGE_VAL, most = -HUGE_VAL;
  for (int k = 0; k <= kSamples; ++k) {
    const double v = a(a.range * (2.0 * k / kSamples - 1));
    least = std::min(least, v);
    most = std::max(most, v);
  }
  return {least, most};
}

double largest_pixel(const plan::Interface& io) {
  double largest = 0;
  for (std::size_t c = 0; c < io.mean.size(); ++c)
    largest = std::max({largest, std::abs(io.mean[c] / io.std[c]), std::abs((1 - io.mean[c]) / io.std[c])});
  return largest;
}

const Step* writer_of(const plan::Plan& plan, int tensor) {
  for (const Step& s : plan.steps)
    if (s.output == tensor) return &s;
  return nullptr;
}

// A bootstrapped tensor that only activations read needs no probe: what left its range before leaves theirs behind.
bool feeds_activations_only(const plan::Plan& plan, int tensor) {
  for (const Step& s : plan.steps)
    for (const plan::Term& t : s.terms)
      if (t.source == tensor && s.kind != Kind::activate) return false;
  return true;
}

}  // namespace

void place_probes(plan::Plan& plan) {
  plan.probes.clear();
  const auto add = [&](int tensor, bool alternating, double largest) {
    const plan::Tensor& t = plan.tensors[static_cast<std::size_t>(tensor)];
    plan::Probe probe{tensor, alternating, 0, largest * t.layout.ciphertexts()};
    for (int limbs = 1;
         limbs <= std::min(plan::kMostProbeLimbs, t.level.limbs - plan.parameters.small_primes) && probe.limbs == 0;
         ++limbs)
      if (plan::has_room(probe.bound, t.scale, limbs, plan.parameters.prime_bits)) probe.limbs = limbs;
    if (probe.limbs > 0) plan.probes.push_back(probe);
  };
  add(0, false, kRoom * std::max(1.0, largest_pixel(plan.io)));
  std::set<int> watched;
  for (const Step& s : plan.steps) {
    if (s.kind == Kind::activate) {
      const auto [least, most] = extent(s.activation);
      if (watched.insert(s.output).second)
        add(s.output, -least > most / 16, kRoom * std::max({-least, most, s.activation.range / 16}));
    } else if (s.kind == Kind::bootstrap && !feeds_activations_only(plan, s.output)) {
      const int source = s.terms.front().source;
      const Step* writer = writer_of(plan, source);
      if (writer == nullptr || writer->kind == Kind::activate || writer->kind == Kind::bootstrap ||
          !watched.insert(source).second)
        continue;
      add(source, writer->kind != Kind::square, plan.bootstrapping->input_peak / s.scale);
    }
  }
  std::sort(plan.probes.begin(), plan.probes.end(),
            [](const plan::Probe& a, const plan::Probe& b) { return a.tensor < b.tensor; });
}

void measure_probes(plan::Plan& plan, const Calibration& calibration,
                    const std::function<void(std::size_t)>& progress) {
  const std::vector<std::vector<double>>& images = calibration.images;
  const ProbeMargins& margins = calibration.made_up ? kMadeUpMargins : kRealMargins;
  std::vector<double> sums(plan.probes.size());
  double score = 0;
  std::mutex mutex;
  std::size_t done = 0;
  circuit::Hooks hooks;
  // Outside its range a polynomial says nothing about images within.
  hooks.sum = [&](int s, std::vector<double>& values) {
    const Step& step = plan.steps[static_cast<std::size_t>(s)];
    if (step.kind != Kind::activate) return;
    for (double& v : values) v = std::clamp(v, -step.activation.range, step.activation.range);
  };
  hooks.result = [&](int s, std::vector<double>& values) {
    for (std::size_t k = 0; k < sums.size(); ++k) {
      if (plan.probes[k].tensor != plan.steps[static_cast<std::size_t>(s)].output) continue;
      const double value = plan::probe_value(plan, plan.probes[k], values);
      const std::scoped_lock lock(mutex);
      sums[k] = std::max(sums[k], value);
    }
  };
  const circuit::View circuit = plan::view(plan);
  parallel_for(images.size(), [&](std::size_t k) {
    double largest = 0;
    for (double v : circuit::interpret(circuit, images[k], hooks)) largest = std::max(largest, std::abs(v));
    const std::scoped_lock lock(mutex);
    score = std::max(score, largest);
    if (progress) progress(++done);
  });
  double largest_input = 0;
  for (const auto& image : images)
    for (double v : image) largest_input = std::max(largest_input, std::abs(v));
  for (std::size_t k = 0; k < sums.size(); ++k) {
    plan::Probe& p = plan.probes[k];
    if (p.tensor != 0 && sums[k] > 0) p.bound = std::min(p.bound, margins.probes * sums[k]);
    if (p.tensor != 0 || calibration.made_up) continue;
    // Arrays of floats need not keep to what pixels can be.
    const plan::Tensor& input = plan.input();
    const double seen = kInputRoom * largest_input * input.layout.ciphertexts();
    if (plan::has_room(seen, input.scale, p.limbs, plan.parameters.prime_bits)) p.bound = std::max(p.bound, seen);
  }
  if (std::isfinite(score)) plan.score_bound = margins.scores * score;
  plan.id = plan::plan_id(plan);
}

}  // namespace sotto::compiler
