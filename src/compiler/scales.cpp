#include "compiler/scales.h"

#include <algorithm>
#include <cmath>

namespace sotto::compiler {

namespace {

using Finish = plan::Step::Finish;

// Room for a tensor's peak above the scale of squares: squares of pre-activations up to 16.
constexpr double kPeakBits = 8;
// By how much a tensor that only precise steps read is finer.
constexpr double kPreciseBits = 10;
// Where polynomials want precision: what is bootstrapped before one, and what linear maps read.
constexpr double kPolynomialPeak = 0x1p44, kPolynomialScale = 0x1p40;

// The scale that every tensor should have, from what reads it.
class Wishes {
 public:
  Wishes(const plan::Plan& plan, double log_scale, const Bounds& bounds)
      : plan_(plan),
        log_scale_(log_scale),
        bounds_(bounds),
        squares_(has(plan, Finish::square) || !has(plan, Finish::activate)),
        primes_(ckks::Parameters::create(plan.parameters).primes()) {}

  [[nodiscard]] const std::vector<std::uint64_t>& primes() const { return primes_; }
  [[nodiscard]] double peak() const { return squares_ ? std::exp2(log_scale_ + kPeakBits) : kPolynomialPeak; }

  [[nodiscard]] double scale(int tensor) const {
    bool precise = true;  // if only precise steps read it
    for (const plan::Step& s : plan_.steps) {
      for (const plan::Term& t : s.terms) {
        if (t.source != tensor) continue;
        if (s.finish == Finish::refresh) return peak() / bounds_[static_cast<std::size_t>(tensor)];
        if (s.finish == Finish::activate)  // values in [-1, 1] near the prime that they are divided by
          return static_cast<double>(primes_[static_cast<std::size_t>(s.limbs - 1)]) / s.activation.range;
        precise = precise && s.extra_primes > 0;
      }
    }
    return squares_ ? std::exp2(log_scale_ + (precise ? kPreciseBits : 0)) : kPolynomialScale;
  }

 private:
  const plan::Plan& plan_;
  double log_scale_;
  const Bounds& bounds_;
  bool squares_;
  std::vector<std::uint64_t> primes_;
};

}  // namespace

bool has(const plan::Plan& plan, Finish finish) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [&](const plan::Step& s) { return s.finish == finish; });
}

// 21.5 was measured at a period of 64 and 48 bits.
double best_log_scale(int period, LevelSize size) {
  return 21.5 + (size.total() - 48 - std::log2(std::max(period, 64) / 64.0)) / 3;
}

void assign_scales(plan::Plan& plan, LevelSize size, double log_scale, const Bounds& bounds) {
  const Wishes wishes(plan, log_scale, bounds);
  if (plan.refresh) plan.refresh->input_peak = wishes.peak();
  plan.tensors[0].scale = wishes.scale(0);
  for (plan::Step& s : plan.steps) {
    double& result = plan.tensors[static_cast<std::size_t>(s.output)].scale;
    const double wanted = wishes.scale(s.output), q = plan::level_modulus(plan, s, wishes.primes());
    switch (s.finish) {
      case Finish::square:
        s.scale = std::sqrt(wanted * q);
        result = s.scale * s.scale / q;
        break;
      case Finish::rescale:
        s.scale = wanted * q;
        result = s.scale / q;
        break;
      case Finish::keep:  // scores up to 2^11 in the last level
        s.scale = std::exp2(size.total() - 12) * q;
        result = s.scale / q;
        break;
      case Finish::activate:
      case Finish::refresh:
        s.scale = plan.tensors[static_cast<std::size_t>(s.terms.front().source)].scale;
        result = wanted;
        break;
    }
  }
}

}  // namespace sotto::compiler
