#pragma once

#include <cstddef>
#include <vector>

#include "plan/schedule.h"

namespace sotto::plan {

/// A dense part of a task's linear map with single channels: a matrix from columns (tap and input channel) to rows
/// (output channels).
struct Product {
  struct Columns {
    int tap = 0;  ///< index into Task::taps
    int channel = 0, count = 0;
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

}  // namespace sotto::plan
