#include "plan/plan.h"

#include <algorithm>
#include <cmath>

namespace sotto::plan {

double Moments::correlation(int dy, int dx, double otherwise) const {
  if (dy < 0) dy = -dy, dx = -dx;
  if (neighbours.empty() || dy > reach || std::abs(dx) > reach) return otherwise;
  return neighbours[static_cast<std::size_t>(dy * (2 * reach + 1) + dx + reach)];
}

circuit::View view(const Plan& plan) {
  circuit::View v;
  for (const Tensor& t : plan.tensors) v.values.push_back(&t.layout);
  for (const Step& s : plan.steps) v.ops.push_back(&s);
  return v;
}

bool has(const Plan& plan, Kind kind) {
  return std::ranges::any_of(plan.steps, [&](const Step& s) { return s.kind == kind; });
}

bool divides(const Plan& plan, const Step& step) {
  if (step.kind == Kind::activate || step.kind == Kind::bootstrap) return false;
  return !step.keep || step.output == plan.steps.back().output;
}

int bootstraps(const Plan& plan) {
  int count = 0;
  for (const Step& s : plan.steps)
    if (s.kind == Kind::bootstrap) count += plan.tensors[static_cast<std::size_t>(s.output)].layout.ciphertexts();
  return count;
}

int units_taken(const Step& step) {
  switch (step.kind) {
    case Kind::sum:
    case Kind::square:
    case Kind::multiply:
      return step.early + step.late;
    case Kind::activate:
      return step.activation.depth();
    case Kind::bootstrap:
      break;
  }
  return 0;
}

StepLevels::StepLevels(const Step& step, const ckks::Level& of_sum, int small_primes)
    : sum(of_sum),
      product(ckks::level_of_size(ckks::units_of(sum, small_primes) - step.early, small_primes)),
      result(ckks::level_of_size(ckks::units_of(sum, small_primes) - units_taken(step), small_primes)) {}

StepLevels levels_of(const Plan& plan, const Step& step) { return {step, step.level, plan.parameters.small_primes}; }

Divisors::Divisors(const StepLevels& levels, const std::vector<std::uint64_t>& primes)
    : early(ckks::divisor(primes, levels.sum, levels.product)),
      late(ckks::divisor(primes, levels.product, levels.result)) {}

double result_scale(const Step& step, const Divisors& by, double sum_scale) {
  const double divided = sum_scale / by.early;
  return (step.kind == Kind::square ? divided * divided : divided) / by.late;
}

double sum_scale(const Step& step, const Divisors& by, double result_scale) {
  const double product = result_scale * by.late;
  return (step.kind == Kind::square ? std::sqrt(product) : product) * by.early;
}

}  // namespace sotto::plan
