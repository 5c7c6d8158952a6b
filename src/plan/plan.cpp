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

int levels_taken(const Step& step) {
  switch (step.kind) {
    case Kind::sum:
    case Kind::square:
    case Kind::multiply:
      return step.early_primes + step.late_primes;
    case Kind::activate:
      return step.activation.depth();
    case Kind::bootstrap:
      break;
  }
  return 0;
}

int product_limbs(const Step& step) { return step.limbs - step.early_primes; }

Divisors::Divisors(const Step& step, const std::vector<std::uint64_t>& primes) {
  for (int k = 1; k <= levels_taken(step) && k <= step.limbs; ++k)
    (k <= step.early_primes ? early : late) *= static_cast<double>(primes[static_cast<std::size_t>(step.limbs - k)]);
}

double result_scale(const Step& step, const Divisors& by, double sum_scale) {
  const double divided = sum_scale / by.early;
  return (step.kind == Kind::square ? divided * divided : divided) / by.late;
}

double sum_scale(const Step& step, const Divisors& by, double result_scale) {
  const double product = result_scale * by.late;
  return (step.kind == Kind::square ? std::sqrt(product) : product) * by.early;
}

}  // namespace sotto::plan
