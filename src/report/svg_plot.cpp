#include "report/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/svg_axis.h"

namespace sotto::report {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double value_at(const Series& series, std::size_t i) { return i < series.values.size() ? series.values[i] : kNaN; }

}  // namespace

std::string stacked_bars(const StackedBars& plot) {
  constexpr double kRow = 22, kBar = 14, kTop = 34, kBottom = 46, kCharacter = 6.4, kRight = 80;
  constexpr std::size_t kLabel = 36;
  const std::size_t rows = plot.labels.size();
  std::vector<double> totals(rows, kNaN);
  std::vector<std::string> hints(rows), labels(rows);
  double left = 40;
  for (std::size_t r = 0; r < rows; ++r) {
    labels[r] = shortened(plot.labels[r], kLabel);
    left = std::max(left, kCharacter * static_cast<double>(std::min(labels[r].size(), kLabel)) + 16);
    hints[r] = plot.labels[r];
    for (const auto& s : plot.series) {
      const double v = value_at(s, r);
      if (std::isfinite(v)) totals[r] = (std::isfinite(totals[r]) ? totals[r] : 0) + v;
      hints[r] += "; " + s.name + " " + with_unit(v, plot.unit);
    }
    if (plot.marks) hints[r] += "; " + plot.marks->name + " " + with_unit(value_at(*plot.marks, r), plot.unit);
  }
  const double most = std::max(largest_of(totals), plot.marks ? largest_of(plot.marks->values) : 0);
  const Axis axis(most, kPlotWidth - left - kRight, 8);
  const double bottom = kTop + kRow * static_cast<double>(rows) + 4;

  std::string out = svg_start(kPlotWidth, bottom + kBottom, plot.title);
  std::vector<LegendEntry> legend;
  for (std::size_t k = 0; k < plot.series.size(); ++k) legend.push_back({fmt::format("s{}", k), plot.series[k].name});
  if (plot.marks) legend.push_back({"mark", plot.marks->name, true});
  out += svg_legend(left, 14, legend);
  for (double t : axis.ticks()) {
    out += svg_line(left + axis.at(t), kTop, left + axis.at(t), bottom, t == 0 ? "axis" : "grid");
    out += svg_text(left + axis.at(t), bottom + 16, "middle", "muted", tick_text(t));
  }
  out += svg_text(left + (kPlotWidth - left - kRight) / 2, bottom + 36, "middle", "muted", plot.axis);
  for (std::size_t r = 0; r < rows; ++r) {
    const double y = kTop + kRow * static_cast<double>(r) + (kRow - kBar) / 2;
    out += svg_text(left - 8, y + kBar - 3, "end", "", labels[r]);
    double x = left, end = left;
    for (std::size_t k = 0; k < plot.series.size(); ++k) {
      const double width = axis.at(value_at(plot.series[k], r));
      if (width > 0) out += svg_box(x, y, width, kBar, fmt::format("s{}", k), hints[r]);
      end = x += width;
    }
    if (plot.marks && std::isfinite(value_at(*plot.marks, r))) {
      const double at = left + axis.at(value_at(*plot.marks, r));
      out += svg_line(at, y - 3, at, y + kBar + 3, "mark");
      end = std::max(end, at);
    }
    if (std::isfinite(totals[r]))
      out += svg_text(end + 8, y + kBar - 3, "start", "muted", with_unit(totals[r], plot.unit));
  }
  return out + "</svg>\n";
}

std::string step_plot(const StepPlot& plot) {
  constexpr double kTop = 34, kHeight = 240, kLeft = 64, kRight = kPlotWidth - 16, kBottom = kTop + kHeight;
  const std::size_t steps = plot.labels.size();
  double most = largest_of(plot.series.values);
  for (const auto& level : plot.levels)
    if (std::isfinite(level.value)) most = std::max(most, level.value);
  const Axis axis(most, kHeight, 5);
  const double step = (kRight - kLeft) / static_cast<double>(std::max<std::size_t>(steps, 1));

  std::string out = svg_start(kPlotWidth, kBottom + 46, plot.title);
  std::vector<LegendEntry> legend{{"s0", plot.series.name}};
  for (std::size_t k = 0; k < plot.levels.size(); ++k)
    if (std::isfinite(plot.levels[k].value))
      legend.push_back(
          {fmt::format("line{}", k), plot.levels[k].name + " " + with_unit(plot.levels[k].value, plot.unit), true});
  out += svg_legend(kLeft, 14, legend) + svg_text(kLeft - 8, kTop - 16, "end", "muted", plot.unit);
  out += svg_grid(axis, kLeft, kRight, kBottom);

  std::string outline;
  const std::size_t every = (steps + 23) / 24;  // numbers that have room
  for (std::size_t i = 0; i < steps; ++i) {
    const double x = kLeft + step * static_cast<double>(i), v = value_at(plot.series, i), y = kBottom - axis.at(v);
    if (std::isfinite(v)) {
      out += svg_box(x, y, step, kBottom - y, "s0 area", plot.labels[i] + ": " + with_unit(v, plot.unit));
      outline += fmt::format("{}{:.1f} {:.1f}H{:.1f}", outline.empty() ? "M" : "L", x, y, x + step);
    }
    if (i % every == 0) out += svg_text(x + step / 2, kBottom + 16, "middle", "muted", fmt::format("{}", i + 1));
  }
  if (!outline.empty()) out += fmt::format("<path d=\"{}\" class=\"outline\"/>\n", outline);
  for (std::size_t k = 0; k < plot.levels.size(); ++k)
    if (std::isfinite(plot.levels[k].value)) {
      const double y = kBottom - axis.at(plot.levels[k].value);
      out += svg_line(kLeft, y, kRight, y, fmt::format("line{}", k));
    }
  return out + svg_text((kLeft + kRight) / 2, kBottom + 36, "middle", "muted", plot.axis) + "</svg>\n";
}

}  // namespace sotto::report
