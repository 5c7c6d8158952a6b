#include "runtime/activate.h"

#include "ckks/chebyshev.h"

namespace sotto::runtime {

ckks::Ciphertext activate(const ckks::Evaluator& evaluator, ckks::Ciphertext x, const plan::Activation& activation,
                          double scale) {
  const auto prime = [&](int index) {
    return static_cast<double>(evaluator.ring().prime(static_cast<std::size_t>(index)));
  };
  x.scale *= activation.range;  // slots hold x / range
  const double result = scale * activation.range;
  ckks::Ciphertext g = evaluator.drop_to(x, x.limbs());
  for (std::size_t k = 0; k < activation.factors.size(); ++k) {
    const auto& factor = activation.factors[k];
    const int limbs = g.limbs() - ckks::chebyshev_depth(factor);
    // The next factor wants the scale of its first prime; a last one what makes the result's scale exact.
    double wanted = prime(limbs - 1);
    if (k + 1 == activation.factors.size()) wanted = activation.gate ? result * prime(limbs - 1) / x.scale : result;
    g = ckks::chebyshev_evaluate(evaluator, g, factor, wanted);
  }
  if (activation.gate) g = evaluator.multiply(evaluator.drop_to(x, g.limbs()), g);
  g.scale = scale;
  return g;
}

}  // namespace sotto::runtime
