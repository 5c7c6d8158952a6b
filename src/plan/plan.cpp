#include "plan/plan.h"

#include <cmath>

#include "base/error.h"
#include "ckks/chebyshev.h"

namespace sotto::plan {

int Activation::depth() const {
  int levels = gate ? 1 : 0;
  for (const auto& factor : factors) levels += ckks::chebyshev_depth(factor);
  return levels;
}

double Activation::operator()(double x) const {
  const double t = x / range;
  double g = t;
  for (const auto& factor : factors) g = ckks::chebyshev_value(factor, g);
  return range * (gate ? t * g : g);
}

double Moments::correlation(int dy, int dx, double otherwise) const {
  if (dy < 0) dy = -dy, dx = -dx;
  if (neighbours.empty() || dy > reach || std::abs(dx) > reach) return otherwise;
  return neighbours[static_cast<std::size_t>(dy * (2 * reach + 1) + dx + reach)];
}

Step copy_step(const std::string& name, int output, int source, Step::Finish kind) {
  Step step;
  step.name = name;
  step.output = output;
  step.finish = kind;
  step.terms.emplace_back();
  step.terms.back().kind = Term::Kind::copy;
  step.terms.back().source = source;
  return step;
}

int bootstraps(const Plan& plan) {
  int count = 0;
  for (const Step& s : plan.steps)
    if (s.finish == Step::Finish::refresh)
      count += plan.tensors[static_cast<std::size_t>(s.output)].layout.ciphertexts();
  return count;
}

int levels_taken(const Plan& plan, const Step& step) {
  switch (step.finish) {
    case Step::Finish::square:
    case Step::Finish::rescale:
      return plan.level_primes + step.extra_primes;
    case Step::Finish::activate:
      return step.activation.depth();
    case Step::Finish::keep:
      return step.extra_primes;
    case Step::Finish::refresh:
      break;
  }
  return 0;
}

double level_modulus(const Plan& plan, const Step& step, const std::vector<std::uint64_t>& primes) {
  double q = 1;
  for (int k = 1; k <= levels_taken(plan, step) && k <= step.limbs; ++k)
    q *= static_cast<double>(primes[static_cast<std::size_t>(step.limbs - k)]);
  return q;
}

}  // namespace sotto::plan
