#pragma once

#include <limits>
#include <string>
#include <vector>

#include "report/svg_plot.h"

namespace sotto::report {

/// How the heights of a line plot follow from values.
enum class Heights {
  from_zero,    ///< in proportion; values below zero lie on the axis
  fitted,       ///< linear over the values that there are
  logarithmic,  ///< twelve powers of ten at most, smaller ones lie on the axis; values must be positive
};

/// Lines through numbered values. As in svg_plot.h, for a page that also defines `curve0`, `curve1`, .. (lines), `dot`
/// (points of s0, s1, ..), `void` (a part that is shaded) and `hit` (what one points at).
///
/// Values that are missing, not finite, or not positive on a logarithmic axis are gaps, and a point between two gaps is
/// a dot. Earlier series lie above later ones, whose lines should be wider. Series without values are left out. Where
/// values are many, a line goes through the smallest and the largest of every few.
struct LinePlot {
  std::string title, unit;   ///< title: for readers who cannot see the plot; unit: behind numbers, may be empty
  std::string axis, values;  ///< what is numbered (a noun, as "step"), and what the heights are
  int first = 1;             ///< number of the first value
  std::vector<Series> series;
  Heights heights = Heights::from_zero;
  bool bridged = false;                                   ///< lines cross gaps, with dots at the values
  double most = std::numeric_limits<double>::infinity();  ///< larger values lie on the upper edge
  int void_from = -1;                                     ///< shaded from this number on; below `first`: nothing is
  std::string void_name;                                  ///< what shading means
};

/// One points at a place between two numbers to see all values there.
std::string line_plot(const LinePlot& plot);

}  // namespace sotto::report
