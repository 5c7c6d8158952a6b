#pragma once

#include <optional>

#include "compiler/scales.h"
#include "compiler/statistics.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// A plan with levels and parameters, before its scales are its own.
struct Draft {
  plan::Plan plan;
  std::vector<std::vector<WeightErrors>> errors;
  std::vector<double> rotated;  ///< plan::rotated_share
  Scales scales;
};

/// Variances of the scores' errors, summed over the scores.
struct WantedVariance {
  double at_most = 0;   ///< whatever it costs
  double if_cheap = 0;  ///< if a run still takes only seconds: what is measured on a few images may be too good
};

/// Levels and parameters of a plan without levels: as low as its steps' divisions allow. False if the modulus has no
/// room for them.
bool assign_levels(plan::Plan& plan);

/// Levels of a plan without levels (see pack()) that bootstraps nothing. Unless they are ruled out, the modulus has
/// small primes, with which levels have any size (docs/adr/0048). The search begins with sums that are divided before
/// they are squared (docs/adr/0047) and with squares that are (with groups, whose weights differ over long periods, by
/// two primes in every second step). Divisions grow where that does most for its time, until the scores are as exact as
/// wanted or the modulus is full; then those shrink that need not be so large, and early ones become late ones, which
/// are cheaper. The fastest result is taken. Nothing if not even the levels fit.
///
/// Without a wanted error every level has one prime, after the square.
std::optional<Draft> levels_without_bootstraps(plan::Plan packed, const Statistics& statistics,
                                               const WantedVariance& wanted, bool small_primes);

}  // namespace sotto::compiler
