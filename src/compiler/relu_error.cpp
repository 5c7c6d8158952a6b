#include "compiler/relu_error.h"

namespace sotto::compiler {

double relu_error_reaching(double wanted, double first, double least, const std::function<double(double)>& agreement) {
  double best = first, most = -1;
  for (double error = first; error >= least; error /= 2) {
    const double found = agreement(error);
    if (found > most) {
      most = found;
      best = error;
    }
    if (found >= wanted) break;
  }
  return best;
}

}  // namespace sotto::compiler
