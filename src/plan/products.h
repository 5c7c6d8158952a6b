#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "plan/schedule.h"

namespace sotto::plan {

/// A dense part of a task's linear map with one channel per ciphertext: a matrix from columns (tap and input
/// ciphertext) to rows (output ciphertexts). With channels in gaps a row is one of giant_rows().
struct Product {
  struct Columns {
    int tap = 0;  ///< index into Task::taps
    int channel = 0, count = 0;

    bool operator==(const Columns&) const = default;
  };
  int row = 0, rows = 0;
  std::vector<Columns> columns;
  bool first = true;  ///< whether it begins the sums of its rows, with the bias; else it adds to them

  /// Columns without that of the bias.
  [[nodiscard]] std::size_t width() const;
};

/// The parts whose sum is the linear map of a task. Rows that read the same channels are computed together, so that a
/// depthwise layer, a pool or a shortcut costs what it multiplies.
std::vector<Product> products_of(const Plan& plan, const Task& task);

/// With channels in gaps: a sum of one giant step for one block of outputs.
struct GiantRow {
  int giant = 0, block = 0;
};

/// Those that a task rotates and adds up: of giant step 0 all blocks, of others those with a weight.
std::vector<GiantRow> giant_rows(const Plan& plan, const Task& task);

/// Rows that are made together: enough of them for a product to be worth reading its sources.
inline constexpr std::size_t kGiantRowsAtOnce = 32;

/// The parts whose sums are these rows; their columns are blocks of what taps read.
std::vector<Product> products_in_gaps(const Plan& plan, const Task& task, std::span<const GiantRow> rows);

/// Calls f(rows) for all rows of a task, those that are made together at a time.
template <class F>
void for_each_giant_rows(const Plan& plan, const Task& task, F f) {
  const std::vector<GiantRow> all = giant_rows(plan, task);
  for (std::size_t first = 0; first < all.size(); first += kGiantRowsAtOnce)
    f(std::span(all).subspan(first, std::min(kGiantRowsAtOnce, all.size() - first)));
}

}  // namespace sotto::plan
