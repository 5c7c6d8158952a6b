#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "compiler/levels.h"
#include "compiler/scales.h"
#include "compiler/statistics.h"
#include "plan/level_costs.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// By what a step divides its sum before it is squared, and its result, in units (ckks::units_of).
struct Division {
  int early = 0, late = 0;
  bool operator==(const Division&) const = default;
};

/// Looks for the divisions of all steps of a plan that bootstraps nothing: those with which scores are as exact as
/// wanted, in the least predicted time. They are tried out on one plan, whose weights are too many to be copied.
class DivisionSearch {
 public:
  /// A plan's divisions, by step, and what comes of them.
  struct Choice {
    std::vector<Division> divisions;
    Scales scales;
    double seconds = 0;  ///< predicted, without reading keys

    [[nodiscard]] double variance() const { return scales.total_variance(); }
  };

  /// packed: with layouts, terms, moments and parameters, as assign_levels leaves it; wanted must outlive this, as must
  /// the statistics.
  DivisionSearch(plan::Plan packed, const Statistics& statistics, const WantedVariance& wanted);
  DivisionSearch(const DivisionSearch&) = delete;

  /// The best choice that is found from these; nothing if the modulus has no room for them. Without a wanted error
  /// it is these. rival: what was found from others; far behind it the search ends.
  std::optional<Choice> from(std::vector<Division> first, const Choice* rival = nullptr);

  /// Of choices that are exact enough the faster one, of others the more exact one.
  [[nodiscard]] bool better(const Choice& a, const Choice& b) const;

  /// The plan with the levels of a choice. Nothing can be looked for afterwards.
  [[nodiscard]] Draft take(Choice choice);

 private:
  // Another division of a step, and what it alone does to the variance of every step: logarithms of ratios.
  struct Alternative {
    Division division;
    std::vector<double> ratios;
  };
  using Alternatives = std::vector<std::vector<Alternative>>;  // by step

  [[nodiscard]] const plan::Step& step(std::size_t s) const { return plan_.steps[s]; }
  [[nodiscard]] double most_variance(double seconds) const;
  [[nodiscard]] bool enough(const Choice& c) const { return c.variance() <= most_variance(c.seconds); }
  bool apply(const std::vector<Division>& divisions);
  double seconds_of_plan();
  Choice evaluate(std::vector<Division> divisions);
  std::optional<Choice> changed(const std::vector<std::pair<std::size_t, Division>>& changes);
  [[nodiscard]] std::optional<int> larger(int size, int most) const;
  [[nodiscard]] int smaller(int size) const;
  [[nodiscard]] bool allows(std::size_t s, const Division& d) const;
  [[nodiscard]] std::vector<Division> more(std::size_t s) const;
  [[nodiscard]] std::vector<Division> around(std::size_t s) const;
  bool add();
  bool move();
  Alternatives alternatives();
  std::optional<std::vector<Division>> walk(const Alternatives& alternatives, std::size_t most_changes, double share);
  bool spare();

  const Statistics& statistics_;
  const WantedVariance& wanted_;
  plan::Plan plan_;
  plan::LevelCosts costs_;
  std::vector<std::uint64_t> primes_;  // of the largest modulus
  std::vector<std::vector<WeightErrors>> errors_;
  std::vector<double> rotated_;
  std::vector<int> sizes_;                           // that divisions may have
  std::unordered_map<std::uint64_t, double> known_;  // seconds of steps, by step, level and division
  Choice best_;
};

}  // namespace sotto::compiler
