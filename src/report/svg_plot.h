#pragma once

#include <optional>
#include <string>
#include <vector>

namespace sotto::report {

/// Plots as <svg> elements for a page that defines the classes `s0`, `s1`, ... (series), `mark`, `line0`, `line1`, ...
/// (horizontal lines), `axis`, `grid`, `cell` and `muted`. All text is escaped; numbers that are not finite are left
/// out. Equal input gives equal text.

/// Named numbers, one per bar or step.
struct Series {
  std::string name;
  std::vector<double> values;
};

/// Horizontal bars, one per label, made of one piece per series; `marks` puts a tick at a value of its own on each bar.
struct StackedBars {
  std::string title, unit, axis;  ///< title: for readers who cannot see the plot; axis: what the lengths are
  std::vector<std::string> labels;
  std::vector<Series> series;
  std::optional<Series> marks;
};

/// The sum of its pieces is written beside every bar.
std::string stacked_bars(const StackedBars& plot);

/// A value that holds for the whole plot.
struct Level {
  std::string name;
  double value = 0;
};

/// One step per label, in order, over an axis from zero, with horizontal lines.
struct StepPlot {
  std::string title, unit, axis;    ///< axis: what the steps are
  std::vector<std::string> labels;  ///< shown when one points at a step; the axis counts from 1
  Series series;
  std::vector<Level> levels;
};

std::string step_plot(const StepPlot& plot);

}  // namespace sotto::report
