#include "training/twin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "training/image_ops.h"
#include "training/loss.h"
#include "training/optimiser.h"

namespace sotto::training {

namespace {

using Values = std::vector<double>;

// Images that one thread sums up: the sums of all such groups are added in order, whatever the number of threads.
constexpr std::size_t kGroup = 16;

// Infinite if the new one is no number.
double larger(double most, double value) {
  if (std::isnan(value)) return INFINITY;
  return std::max(most, value);
}

double largest(const Values& values) {
  double most = 0;
  for (double v : values) most = larger(most, std::abs(v));
  return most;
}

// The values of a step for one image after another, with the sums over them so far.
class Run {
 public:
  // The step must outlive it.
  Run(const Step& step, const State& state) : step_(step), values_(step.values.size()), peaks_(step.values.size()) {
    for (std::size_t v = 0; v < step.values.size(); ++v)
      if (!step.values[v].per_image()) values_[v].assign(step.values[v].size(), 0.0);
    for (std::size_t p = 0; p < step.parameters.size(); ++p)
      values_[index(step.parameters[p].value)] = state.weights[p];
    for (const Constant& c : step.constants) values_[index(c.value)] = c.numbers;
  }

  void add(const Example& example) {
    check_example(step_, example);
    values_[index(step_.images)] = example.image;
    Values& labels = values_[index(step_.labels)];
    labels.assign(step_.value(step_.labels).size(), 0.0);
    labels[index(example.label)] = 1;
    for (const Op& op : step_.ops) run_op(step_, op, values_);
    for (std::size_t v = 0; v < values_.size(); ++v)
      if (step_.values[v].per_image()) peaks_[v] = std::max(peaks_[v], largest(values_[v]));
    double loss = 0;
    for (double e : values_[index(step_.error)]) loss += e * e / 2;
    loss_ += loss;
    worst_ = larger(worst_, loss);
  }

  // Adds the sums of another run of the same step.
  void add(const Run& other) {
    for (const Parameter& p : step_.parameters) {
      Values& sum = values_[index(p.gradient)];
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other.values_[index(p.gradient)][i];
    }
    for (std::size_t v = 0; v < peaks_.size(); ++v) peaks_[v] = std::max(peaks_[v], other.peaks_[v]);
    loss_ += other.loss_;
    worst_ = larger(worst_, other.worst_);
  }

  [[nodiscard]] std::vector<Values> gradients() const {
    std::vector<Values> out;
    for (const Parameter& p : step_.parameters) out.push_back(values_[index(p.gradient)]);
    return out;
  }

  // images: how many were added.
  [[nodiscard]] Twin::Result result(std::size_t images) const {
    Twin::Result r{loss_ / static_cast<double>(images), worst_, peaks_};
    for (std::size_t v = 0; v < values_.size(); ++v)
      if (!step_.values[v].per_image()) r.peaks[v] = largest(values_[v]);
    return r;
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  const Step& step_;
  std::vector<Values> values_;
  Values peaks_;  // of what belongs to images
  double loss_ = 0, worst_ = 0;
};

}  // namespace

State initial_state(const Step& step) {
  State state;
  for (const Parameter& p : step.parameters) {
    state.weights.push_back(p.initial);
    state.velocities.emplace_back(p.initial.size());
  }
  return state;
}

bool in_range(const State& state, double worst, const Spec& spec) {
  if (spec.optimiser == Spec::Optimiser::normal_equations) return std::isfinite(worst);
  const auto small = [&](const Values& list) {
    return std::ranges::all_of(list, [&](double v) { return std::abs(v) <= spec.range; });
  };
  return std::ranges::all_of(state.weights, small) && std::ranges::all_of(state.velocities, small) &&
         worst <= most_loss(spec.loss);
}

std::string overflow_note(int step, const Spec& spec) {
  if (step < 0) return {};
  if (spec.optimiser == Spec::Optimiser::normal_equations)
    return fmt::format(
        "the normal equations of step {} have no solution, their sums are too large for encryption, or its errors "
        "change the solution by more than 5 % of its size: what comes of it means nothing; give features of about the "
        "size 1 that differ from each other, or a larger ridge",
        step + 1);
  return fmt::format(
      "the weights, or the scores of an image, left their range in step {}: what comes behind means nothing; train "
      "with a smaller rate or a larger range",
      step + 1);
}

std::string range_note(std::size_t images, bool spoiled) {
  if (images == 0) return "";
  const std::string who = fmt::format(
      "the values of {} image{} left the range of the layers in front of those that are trained, or lie beside such",
      images, images == 1 ? "" : "s");
  return spoiled ? who + ", and spoiled all others of their run: the trained weights mean nothing"
                 : who + ": what they taught the weights means little";
}

std::vector<std::vector<double>> Twin::gradients(const State& state, std::span<const Example* const> batch,
                                                 Result* result) const {
  check(!batch.empty(), "a batch without images");
  const std::size_t groups = (batch.size() + kGroup - 1) / kGroup;
  std::vector<Run> runs(groups, Run(step_, state));
  parallel_for(groups, [&](std::size_t g) {
    const std::size_t first = g * kGroup, count = std::min(kGroup, batch.size() - first);
    for (const Example* e : batch.subspan(first, count)) runs[g].add(*e);
  });
  for (std::size_t g = 1; g < groups; ++g) runs[0].add(runs[g]);
  if (result != nullptr) *result = runs[0].result(batch.size());
  return runs[0].gradients();
}

Twin::Result Twin::train(State& state, std::span<const Example* const> batch, int number) const {
  check(batch.size() == static_cast<std::size_t>(spec_.batch), "a batch of another size than the spec's");
  Result result;
  std::vector<Values> gradients = this->gradients(state, batch, &result);
  const Update u = update_of(spec_, number);
  for (std::size_t p = 0; p < gradients.size(); ++p)
    for (std::size_t i = 0; i < gradients[p].size(); ++i) {
      double& w = state.weights[p][i];
      double& v = state.velocities[p][i];
      const double g = gradients[p][i], weight = w;
      w = u.ww * weight + u.wu * v + u.wg * g;
      v = u.uw * weight + u.uu * v + u.ug * g;
    }
  return result;
}

}  // namespace sotto::training
