#include "compiler/weight_errors.h"

#include <algorithm>
#include <numeric>

#include "circuit/term.h"

namespace sotto::compiler {

namespace {

// Variances of all pairs of channels, [output][input].
std::vector<double> variances(const plan::Term& term, const plan::WeightNoise& noise, const plan::Layout& in,
                              const plan::Layout& out) {
  const auto inputs = static_cast<std::size_t>(in.channels);
  std::vector<double> all(static_cast<std::size_t>(out.channels) * inputs);
  const auto at = [&](int o, int i) -> double& {
    return all[static_cast<std::size_t>(o) * inputs + static_cast<std::size_t>(i)];
  };
  for (const plan::WeightNoise::Pair& p : noise.spread) at(p.out, p.in) += p.variance;
  if (std::ranges::all_of(noise.constant, [](double share) { return share == 0; })) return all;
  // A mean multiplies all pixels by the same number: its error meets their sum.
  const std::size_t taps = noise.constant.size();
  const double pixels = static_cast<double>(in.height) * in.width;
  const double together = term.kind == plan::Term::Kind::full ? pixels * pixels / static_cast<double>(taps) : 1;
  circuit::for_each_pair(term, in, out, [&](int o, int i, const double* weights) {
    double sum = 0;
    for (std::size_t t = 0; t < taps; ++t)
      if (weights[t] != 0) sum += together * noise.constant[t] / 12;
    at(o, i) += sum;
  });
  return all;
}

WeightErrors errors_of(const plan::Term& term, const plan::WeightNoise& noise, const plan::Layout& in,
                       const plan::Layout& out) {
  const auto inputs = static_cast<std::size_t>(in.channels), outputs = static_cast<std::size_t>(out.channels);
  WeightErrors errors{0, noise.left, std::vector<bool>(outputs), std::vector<std::vector<WeightErrors::Pair>>(outputs),
                      std::vector<std::vector<WeightErrors::Pair>>(inputs)};
  if (errors.left.empty()) errors.left.assign(inputs, 1);
  const std::vector<double> all = variances(term, noise, in, out);
  for (std::size_t o = 0; o < outputs; ++o) {
    const double* row = all.data() + o * inputs;
    const bool even = row[0] > 0 && std::all_of(row, row + inputs, [&](double v) { return v == row[0]; });
    if (even && errors.common == 0) errors.common = row[0];
    errors.alike[o] = even && row[0] == errors.common;
    if (errors.alike[o]) continue;
    for (std::size_t i = 0; i < inputs; ++i) {
      const double variance = row[i] * errors.left[i];
      if (variance == 0) continue;
      errors.by_output[o].push_back({i, variance});
      errors.by_input[i].push_back({o, variance});
    }
  }
  return errors;
}

}  // namespace

void WeightErrors::add_to(std::span<double> sums, std::span<const double> energy) const {
  const double together = common * std::inner_product(left.begin(), left.end(), energy.begin(), 0.0);
  for (std::size_t o = 0; o < sums.size(); ++o) {
    if (alike[o]) sums[o] += together;
    for (const Pair& p : by_output[o]) sums[o] += p.variance * energy[p.channel];
  }
}

void WeightErrors::add_back(std::span<double> influence, std::span<const double> worth) const {
  double together = 0;
  for (std::size_t o = 0; o < worth.size(); ++o)
    if (alike[o]) together += common * worth[o];
  for (std::size_t i = 0; i < influence.size(); ++i) {
    influence[i] += left[i] * together;
    for (const Pair& p : by_input[i]) influence[i] += p.variance * worth[p.channel];
  }
}

std::vector<std::vector<WeightErrors>> weight_errors(const plan::Plan& plan,
                                                     const std::vector<std::vector<plan::WeightNoise>>& noise) {
  std::vector<std::vector<WeightErrors>> errors(noise.size());
  for (std::size_t s = 0; s < noise.size(); ++s) {
    for (std::size_t k = 0; k < noise[s].size(); ++k) {
      const plan::Term& term = plan.steps[s].terms[k];
      errors[s].push_back(errors_of(term, noise[s][k], plan.tensors[static_cast<std::size_t>(term.source)].layout,
                                    plan.tensors[static_cast<std::size_t>(plan.steps[s].output)].layout));
    }
  }
  return errors;
}

}  // namespace sotto::compiler
