#include "compiler/relu_error.h"

#include <algorithm>
#include <cmath>

namespace sotto::compiler {

double relu_error_for(const graph::Network& network) {
  const auto functions = std::ranges::count_if(
      network.nodes, [](const graph::Node& n) { return std::holds_alternative<graph::Function>(n.op); });
  return functions <= kFewRelus ? kReluError : kReluError / 2;
}

double relu_error_reaching(double wanted, double first, double least, const std::function<double(double)>& agreement) {
  double best = first, most = -1;
  for (int halvings = 0; std::ldexp(first, -halvings) >= least; ++halvings) {
    const double error = std::ldexp(first, -halvings), found = agreement(error);
    if (found > most) {
      most = found;
      best = error;
    }
    if (found >= wanted) break;
  }
  return best;
}

}  // namespace sotto::compiler
