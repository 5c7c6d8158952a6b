#pragma once

#include <functional>
#include <map>
#include <vector>

#include "plan/plan.h"
#include "plan/task_cost.h"
#include "plan/work.h"

namespace sotto::plan {

/// What the steps of a plan take at any level: for plans that have a ring and layouts, but no levels yet. Reading keys
/// and fresh memory are not counted.
class LevelCosts {
 public:
  /// The plan must outlive this.
  explicit LevelCosts(const Plan& plan);

  /// Of a step whose terms are added at this level. special(limbs): special primes of the keys of so many limbs.
  [[nodiscard]] Work at(int step, const ckks::Level& level, const std::function<int(int)>& special) const;

 private:
  struct Counts {
    std::map<int, double> copied;  // ciphertexts, by the number of rotated copies that are made of one
    Turned turned;                 // of sums of giant steps
    double summed = 0;             // rotations that sum or spread over tiles
    double results = 0;            // ciphertexts
    Work embedding, products;      // at all limbs, and at each
  };

  const Plan& plan_;
  std::vector<Counts> steps_;
};

}  // namespace sotto::plan
