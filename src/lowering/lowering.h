#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "lowering/arrangement.h"
#include "lowering/gather.h"
#include "lowering/lowered_step.h"
#include "lowering/spread.h"
#include "lowering/windows.h"
#include "program/builder.h"
#include "training/spec.h"

namespace sotto::lowering {

/// Flags by position of a tile.
using Flags = std::vector<bool>;

/// What scales may differ by, and margins from zero.
inline constexpr double kExact = 0x1p-20;

/// A map or vector on ciphertexts.
struct Held {
  std::vector<int> ids;               // [group][channel][phase]
  std::optional<double> margin = {};  // what slots hold that have no pixel, if it is the same for all
};

/// The writer of a step's program: one function for each kind of op. What it makes of a value is in `held`.
class Lowering {
 public:
  Lowering(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
           const std::vector<std::uint64_t>& primes, const training::Spec& spec)
      : step_(step),
        a_(arrangement),
        choice_(choice),
        spec_(spec),
        builder_(primes, choice.least_scale, choice.bootstrapping.input_limbs()),
        gather_(builder_, arrangement),
        held_(step.values.size()),
        uses_(step.values.size()) {}

  /// Nothing if it runs out of levels.
  std::optional<LoweredStep> run();

 private:
  // A shifted copy of every ciphertext of a map.
  struct Shift {
    int phase = 0, dy = 0, dx = 0;
    auto operator<=>(const Shift&) const = default;
  };
  using Copies = std::map<std::pair<int, Shift>, int>;  // by [group][channel] and shift

  [[nodiscard]] const Layout& layout(int value) const { return a_.layouts[static_cast<std::size_t>(value)]; }
  Held& held(int value) { return held_[static_cast<std::size_t>(value)]; }
  [[nodiscard]] std::size_t parameter_of(int value) const;
  [[nodiscard]] std::optional<std::size_t> gradient_of(int value) const;
  [[nodiscard]] std::vector<Flags> leaf_masks() const;
  [[nodiscard]] std::optional<Flags> common_pixels(int value) const;
  [[nodiscard]] std::optional<int> fused_bias(const Op& op) const;
  [[nodiscard]] const Op* next_bias(const Op& op) const;

  void find_uses();
  void visit(const Op& op);
  Copies copies(int map, const std::vector<TapPair>& taps, const Layout& target);
  void clean(int value);
  int limbs_of(int value) { return builder_.common_limbs(held(value).ids); }
  int leaf(int value, int index, int limbs) { return spread_->leaf(parameter_of(value), index, limbs); }

  /// The numbers of weights that are not trained; null for those that are.
  [[nodiscard]] const std::vector<double>* constant(int value) const;
  [[nodiscard]] static double weight_scale(std::span<const double> weights, std::size_t period);
  int pattern_of(const Flags& flags, double factor);
  void convolve(const Op& op, bool transposed);
  void convolve_with_constants(const Op& op, bool transposed, const std::vector<double>& weights);
  [[nodiscard]] std::vector<std::vector<program::Factor>> matrix_factors(int matrix, const Layout& map,
                                                                         bool transposed);
  void convolve_weights(const Op& op);
  void contract(const Op& op);
  void contract_transposed(const Op& op);
  void contract_weights(const Op& op);
  void pool(const Op& op, bool transposed);
  void mean(const Op& op);
  void mean_transposed(const Op& op);
  void add_bias(const Op& op);
  void sum_pixels(const Op& op);
  void multiply(const Op& op);
  void channels(const Op& op);
  void affine(const Op& op);
  [[nodiscard]] double scale_to_gather(const program::Value& value) const;
  [[nodiscard]] std::size_t present_period() const;
  [[nodiscard]] double largest_scale(const std::vector<int>& values) const;
  int over_tile(int value, int direction);
  [[nodiscard]] double scale_of_integers(const std::vector<program::Multiple>& list) const;
  int combine(const std::vector<program::Multiple>& list);
  std::vector<int> combine(const std::vector<std::vector<program::Multiple>>& lists);
  int bootstrap(int before);
  void finish(LoweredStep& out, int state);
  [[nodiscard]] program::Pattern present(int value_per_tile) const;

  const Step& step_;
  const Arrangement& a_;
  const LevelChoice& choice_;
  const training::Spec& spec_;
  program::Builder builder_;
  Gather gather_;
  std::vector<Held> held_;
  std::vector<std::vector<const Op*>> uses_;
  std::optional<Spread> spread_;
  std::set<const Op*> done_;  // by an earlier op
  std::vector<int> label_inputs_;
};

}  // namespace sotto::lowering
