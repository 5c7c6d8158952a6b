#include "training/run_twin.h"

#include <cmath>

#include "base/normal_draws.h"
#include "training/moments.h"
#include "training/optimiser.h"

namespace sotto::training {

std::vector<TwinStep> run_twin(const Step& step, const Spec& spec, const std::vector<Example>& examples, double noise,
                               const std::function<void(const TwinStep&)>& progress) {
  std::vector<std::vector<const Example*>> batches;
  for (const auto& indices : batches_of(spec, examples.size())) {
    auto& batch = batches.emplace_back();
    for (std::size_t i : indices) batch.push_back(&examples[i]);
  }
  const Twin twin(step, spec);
  NormalDraws normal{spec.seed};
  const bool at_once = spec.optimiser == Spec::Optimiser::normal_equations;
  State state = initial_state(step);
  Moments sums = at_once ? no_moments(step) : Moments{};
  std::vector<TwinStep> steps;
  for (int number = 0; number < spec.steps; ++number) {
    TwinStep& s = steps.emplace_back();
    s.batch = batch_of(spec, static_cast<int>(batches.size()), number);
    const auto& batch = batches[static_cast<std::size_t>(s.batch)];
    if (at_once) {
      twin.gradients(state, batch, &s.result);
      sums = added(std::move(sums), moments_of(step, batch), 1);
      const auto solution = solve(sums, spec.ridge);
      if (solution) state.weights = *solution;
      // Fewer images than features may have none; more of them behind do.
      if (!solution && number + 1 == spec.steps) s.result.worst = INFINITY;
    } else {
      s.result = twin.train(state, batch, number);
      if (noise > 0)
        for (std::vector<double>& weights : state.weights)
          for (double& w : weights) w += noise * spec.range * normal();
    }
    s.state = state;
    if (progress) progress(s);
  }
  return steps;
}

}  // namespace sotto::training
