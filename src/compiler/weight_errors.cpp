#include "compiler/weight_errors.h"

#include <algorithm>

#include "plan/term.h"

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
  const double together = term.kind == plan::Term::Kind::full ? static_cast<double>(taps) : 1;
  plan::for_each_pair(term, in, out, [&](int o, int i, const double* weights) {
    double sum = 0;
    for (std::size_t t = 0; t < taps; ++t)
      if (weights[t] != 0) sum += together * noise.constant[t] / 12;
    at(o, i) += sum;
  });
  return all;
}

WeightErrors errors_of(const plan::Term& term, const plan::WeightNoise& noise, const plan::Layout& in,
                       const plan::Layout& out, const std::vector<ChannelStatistics>& sources) {
  const auto inputs = static_cast<std::size_t>(in.channels), outputs = static_cast<std::size_t>(out.channels);
  WeightErrors errors{0, std::vector<double>(inputs), std::vector<bool>(outputs),
                      std::vector<std::vector<WeightErrors::Pair>>(outputs),
                      std::vector<std::vector<WeightErrors::Pair>>(inputs)};
  for (std::size_t i = 0; i < inputs; ++i)
    errors.energy[i] = (noise.left.empty() ? 1 : noise.left[i]) * sources[i].mean_square;
  const std::vector<double> all = variances(term, noise, in, out);
  for (std::size_t o = 0; o < outputs; ++o) {
    const double* row = all.data() + o * inputs;
    const bool even = row[0] > 0 && std::all_of(row, row + inputs, [&](double v) { return v == row[0]; });
    if (even && errors.common == 0) errors.common = row[0];
    errors.alike[o] = even && row[0] == errors.common;
    if (errors.alike[o]) continue;
    for (std::size_t i = 0; i < inputs; ++i) {
      const double error = row[i] * errors.energy[i];
      if (error == 0) continue;
      errors.by_output[o].push_back({i, error});
      errors.by_input[i].push_back({o, error});
    }
  }
  return errors;
}

}  // namespace

std::vector<std::vector<WeightErrors>> weight_errors(const plan::Plan& plan, const Statistics& statistics,
                                                     const std::vector<std::vector<plan::WeightNoise>>& noise) {
  std::vector<std::vector<WeightErrors>> errors(noise.size());
  for (std::size_t s = 0; s < noise.size(); ++s) {
    for (std::size_t k = 0; k < noise[s].size(); ++k) {
      const plan::Term& term = plan.steps[s].terms[k];
      const auto source = static_cast<std::size_t>(term.source);
      errors[s].push_back(errors_of(term, noise[s][k], plan.tensors[source].layout,
                                    plan.tensors[static_cast<std::size_t>(plan.steps[s].output)].layout,
                                    statistics.tensors[source]));
    }
  }
  return errors;
}

}  // namespace sotto::compiler
