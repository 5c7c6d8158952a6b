#include "runtime/rounding.h"

#include <cmath>

namespace sotto::runtime {

namespace {

// A value may go the other way only if it lies at least this far from its nearest integer; exact zeros of a pattern
// (a mask with a shorter period) never do.
constexpr double kLeastResidue = 0.1;

}  // namespace

void round_together(std::span<const std::vector<std::span<double>>> groups) {
  if (groups.empty() || groups.front().empty()) return;
  const std::size_t length = groups.front().front().size();
  std::vector<double> residue;
  for (std::size_t k = 0; k < length; ++k) {
    double carry = 0;  // sum of (wanted - rounded) so far
    for (const auto& group : groups) {
      residue.resize(group.size());
      for (std::size_t t = 0; t < group.size(); ++t) {
        double& v = group[t][k];
        const double rounded = std::nearbyint(v);
        residue[t] = v - rounded;
        carry += residue[t];
        v = rounded;
      }
      while (std::abs(carry) > 0.5) {
        const double direction = carry > 0 ? 1 : -1;
        std::size_t best = group.size();
        for (std::size_t t = 0; t < group.size(); ++t)
          if (direction * residue[t] > kLeastResidue &&
              (best == group.size() || direction * residue[t] > direction * residue[best]))
            best = t;
        if (best == group.size()) break;
        group[best][k] += direction;
        residue[best] -= direction;
        carry -= direction;
      }
    }
  }
}

}  // namespace sotto::runtime
