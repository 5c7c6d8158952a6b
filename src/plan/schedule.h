#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// One ciphertext source of a linear map: a phase of a tensor (all its blocks of channels), rotated or not.
struct Source {
  int tensor = 0;
  int phase = 0;              ///< py * P.w + px
  std::int64_t rotation = 0;  ///< slots

  auto operator<=>(const Source&) const = default;
};

/// One tap of one term for one output phase: which source it reads and where it counts. Where layouts do not fit each
/// other, a tap reads several sources and is here once for each.
struct Tap {
  int term = 0;
  int tap = 0;  ///< ky * kernel_w + kx; for a full term the phase
  Source source;
  /// Flags by tile position; empty if all are set and the term has no map of factors. Unused by full terms.
  std::vector<std::uint8_t> mask;
  int shift = 0;  ///< places by which the source's rotation moves channels, 0 .. baby - 1
};

/// What a tap's rotated source is made from: the phase as it is, or, where pixels move as well as channels, its copy
/// whose channels have moved. So taps of all shifts share the keys that move pixels.
Source made_from(const Plan& plan, const Tap& tap);

/// Rotations, one after the other, between a phase and a tap's source: 0 to 2.
int rotations_of(const Plan& plan, const Tap& tap);

/// The work for one output phase of one step.
///
/// With groups, channels meet by rotations: the sums over all taps are made once per giant step g, and the result is
/// the sum over g of the g-th sum rotated by g * baby places (baby-step giant-step; Halevi-Shoup 2018).
///
/// So they do with channels in gaps, where a giant step is a way from an output's place to an input's, in slots.
struct Task {
  int step = 0;
  int phase = 0;
  std::vector<Tap> taps;
  int first_giant = 0, last_giant = 0;
  std::vector<int> giants = {};  ///< with channels in gaps: those ways, ascending, 0 among them; else empty
  std::size_t products = 0;      ///< with several channels per ciphertext: of a source ciphertext with a plaintext
  std::size_t turned_sums = 0;   ///< sums of giant steps that are rotated, about, of all its results
};

/// Tasks in the order of execution, with the uses of every source.
struct Schedule {
  std::vector<Task> tasks;
  /// For every source, the tasks that read it and the levels they need, in order. What a rotated copy is made from is
  /// also read by the tasks that make it: the first that needs it, and one that needs limbs which it lacks.
  std::map<Source, std::vector<std::pair<int, ckks::Level>>> uses;
};

/// Expands a plan into tasks. Throws Error{bad_input} if a tensor does not fit its ciphertexts.
Schedule make_schedule(const Plan& plan);

/// The key switches of an activation whose argument has so many limbs, and how often, about.
std::map<bootstrap::BootstrapSwitch, int> activation_switches(const Activation& activation, int limbs);

/// The key switches that a slotwise step makes per ciphertext, and how often, about.
std::map<bootstrap::BootstrapSwitch, int> slotwise_switches(const Plan& plan, const Step& step);

/// The key-switching keys that a task needs, sorted.
std::set<ckks::KeyId> keys_of(const Plan& plan, const Task& task);

/// The first and the last task that needs a key.
struct TaskSpan {
  int first = 0, last = 0;
};
std::map<ckks::KeyId, TaskSpan> key_spans(const Plan& plan, const Schedule& schedule);

/// The key-switching keys that a schedule needs: relinearisation and rotations, each at the tiers of its levels.
std::vector<ckks::KeyId> required_keys(const Plan& plan, const Schedule& schedule);

/// The tier of smallest keys for switches at a level. Throws Error{bad_input} if there is none.
int tier_of(const Plan& plan, const ckks::Level& level);

/// Whether channels of a tensor that a step reads or makes lie in gaps (packing::Layout::fill).
bool fills_gaps(const Plan& plan, const Step& step);

/// With groups: slots by which a giant step of a step rotates.
std::int64_t giant_rotation(const Plan& plan, const Step& step);

/// Slots after which the weights of a step repeat. If one image fills the ciphertext, all contents repeat with the
/// places of the widest tensor at hand.
std::size_t step_period(const Plan& plan, const Step& step);

/// With groups: the moves of a term that a weight needs, with the pairs of an output and an input block between which
/// it needs them.
std::map<int, std::set<std::pair<int, int>>> connected_blocks(const Plan& plan, const Step& step, const Term& term);
/// With channels in gaps: the same, by giant step.
std::map<int, std::set<std::pair<int, int>>> connected_in_gaps(const Plan& plan, const Step& step, const Term& term);
/// The moves of connected_blocks alone.
std::set<int> channel_moves(const Plan& plan, const Step& step, const Term& term);

/// By tile position, what a tap's weight is multiplied by: its mask times the term's map of factors. The mask is not
/// empty.
std::vector<double> mask_values(const Tap& tap, const Term& term, const Layout& out, const Axes& tile, int phase);

/// Rotations that sum a power of two `count` of consecutive slots: 1, 2, 4, .. count / 2.
std::vector<std::int64_t> sum_rotations(int count);

}  // namespace sotto::plan
