#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// One ciphertext source of a linear map: a phase of a tensor (all channels), rotated or not.
struct Source {
  int tensor = 0;
  int phase = 0;              ///< py * P + px
  std::int64_t rotation = 0;  ///< slots

  auto operator<=>(const Source&) const = default;
};

/// One tap of one term for one output phase: which source it reads and where it counts.
struct Tap {
  int term = 0;
  int tap = 0;  ///< ky * kernel_w + kx; for a full term the phase
  Source source;
  std::vector<std::uint8_t> mask;  ///< T^2 flags by tile position; empty if all are set. Unused by full terms.
};

/// The work for one output phase of one step.
struct Task {
  int step = 0;
  int phase = 0;
  std::vector<Tap> taps;
};

/// Tasks in the order of execution, with the last use of every source.
struct Schedule {
  std::vector<Task> tasks;
  /// For every (tensor, phase), the tasks that read it and the limbs they need, in order.
  std::map<std::pair<int, int>, std::vector<std::pair<int, int>>> uses;
  /// For every rotated source, the last task that reads it.
  std::map<Source, int> last_use;
};

/// Expands a plan into tasks. Throws Error{bad_input} if a term does not fit the layouts.
Schedule make_schedule(const Plan& plan);

/// The key-switching keys that a schedule needs: relinearisation and rotations, each at the tiers of its levels.
std::vector<ckks::KeyId> required_keys(const Plan& plan, const Schedule& schedule);

/// Tile position (ty * T + tx) and phase of a pixel.
struct Place {
  int phase = 0, position = 0;
};
Place place_of(const Layout& layout, int tile, int y, int x);

/// Rotations that sum a power of two `count` of consecutive slots: 1, 2, 4, .. count / 2.
std::vector<std::int64_t> sum_rotations(int count);

}  // namespace sotto::plan
