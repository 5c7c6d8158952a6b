#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/svg_plot.h"

namespace sotto::report {

/// How sizes of very different magnitude are distributed: for every series, the share of its values in each fifth of a
/// power of ten. Values that are not positive are left out.
struct Magnitudes {
  std::string title, axis;
  std::vector<Series> series;
};

std::string magnitudes(const Magnitudes& plot);

/// Counts in a square; the darker, the larger the share of its row.
struct Matrix {
  std::string title, rows, columns;              ///< what rows and columns are
  std::vector<std::string> labels;               ///< of both
  std::vector<std::vector<std::size_t>> counts;  ///< [row][column]
};

std::string matrix(const Matrix& plot);

}  // namespace sotto::report
