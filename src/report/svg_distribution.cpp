#include "report/svg_distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "report/svg_axis.h"

namespace sotto::report {

std::string magnitudes(const Magnitudes& plot) {
  constexpr double kTop = 34, kHeight = 200, kLeft = 64, kRight = kPlotWidth - 16, kBottom = kTop + kHeight;
  constexpr int kPerDecade = 5, kDecades = 12;  // smaller values count as the smallest
  int low = std::numeric_limits<int>::max(), high = std::numeric_limits<int>::min();
  const auto bin_of = [](double v) { return static_cast<int>(std::floor(kPerDecade * std::log10(v))); };
  for (const auto& s : plot.series)
    for (double v : s.values)
      if (std::isfinite(v) && v > 0) {
        low = std::min(low, bin_of(v));
        high = std::max(high, bin_of(v));
      }
  if (low > high) low = high = 0;
  const auto decade = [](int bin) { return (bin >= 0 ? bin : bin - kPerDecade + 1) / kPerDecade; };
  const int last = decade(high) + 1, first = std::max(decade(low), last - kDecades);
  const double width = (kRight - kLeft) / ((last - first) * kPerDecade);

  std::vector<std::map<int, double>> shares(plot.series.size());
  double most = 0;
  for (std::size_t k = 0; k < plot.series.size(); ++k) {
    double count = 0;
    for (double v : plot.series[k].values)
      if (std::isfinite(v) && v > 0) {
        ++shares[k][std::max(bin_of(v) - first * kPerDecade, 0)];
        ++count;
      }
    for (auto& [bin, share] : shares[k]) most = std::max(most, share *= 100 / count);
  }
  const Axis axis(most, kHeight, 5);
  std::string out = svg_start(kPlotWidth, kBottom + 46, plot.title);
  std::vector<LegendEntry> legend;
  for (std::size_t k = 0; k < plot.series.size(); ++k)
    legend.push_back({fmt::format("s{} area", k), plot.series[k].name});
  out += svg_legend(kLeft, 14, legend) + svg_text(kLeft - 8, kTop - 16, "end", "muted", "%");
  out += svg_grid(axis, kLeft, kRight, kBottom);
  for (int d = first; d <= last; ++d)
    out += svg_text(kLeft + (d - first) * kPerDecade * width, kBottom + 16, "middle", "muted",
                    d >= -3 && d <= 3 ? tick_text(std::pow(10.0, d)) : fmt::format("1e{}", d));
  for (std::size_t k = 0; k < plot.series.size(); ++k)
    for (const auto& [bin, share] : shares[k]) {
      const double height = axis.at(share), from = std::pow(10.0, first + static_cast<double>(bin) / kPerDecade);
      out += svg_box(kLeft + bin * width + 1, kBottom - height, width - 2, height, fmt::format("s{} area", k),
                     fmt::format("{}: {:.1f} % between {:.2g} and {:.2g}", plot.series[k].name, share, from,
                                 from * std::pow(10.0, 1.0 / kPerDecade)));
    }
  return out + svg_text((kLeft + kRight) / 2, kBottom + 36, "middle", "muted", plot.axis) + "</svg>\n";
}

std::string matrix(const Matrix& plot) {
  constexpr std::size_t kLabel = 14;
  constexpr double kTop = 40, kLeft = 130;
  const std::size_t n = plot.labels.size();
  const double cell = std::clamp(560.0 / static_cast<double>(std::max<std::size_t>(n, 1)), 30.0, 56.0), high = 28;
  std::string out =
      svg_start(kLeft + cell * static_cast<double>(n) + 16, kTop + high * static_cast<double>(n) + 100, plot.title);
  out += svg_text(kLeft - 8, kTop - 12, "end", "muted", plot.rows);
  for (std::size_t r = 0; r < n; ++r) {
    double sum = 0;
    for (std::size_t c : plot.counts[r]) sum += static_cast<double>(c);
    const double y = kTop + high * static_cast<double>(r);
    out += svg_text(kLeft - 8, y + high / 2 + 4, "end", "", shortened(plot.labels[r], kLabel));
    for (std::size_t c = 0; c < n; ++c) {
      const double x = kLeft + cell * static_cast<double>(c);
      const std::size_t count = plot.counts[r][c];
      // Ten shades; the root makes rare mistakes visible.
      const int shade =
          count == 0 ? 0 : std::max(1, static_cast<int>(std::lround(9 * std::sqrt(static_cast<double>(count) / sum))));
      out += svg_box(x + 1, y + 1, cell - 2, high - 2, fmt::format("cell q{}", shade),
                     fmt::format("{} as {}: {}", plot.labels[r], plot.labels[c], count));
      if (count > 0)
        out += svg_text(x + cell / 2, y + high / 2 + 4, "middle", shade > 5 ? "on" : "", std::to_string(count));
    }
  }
  const double bottom = kTop + high * static_cast<double>(n);
  for (std::size_t c = 0; c < n; ++c) {
    const double x = kLeft + cell * (static_cast<double>(c) + 0.5), y = bottom + 14;
    out += fmt::format("<text transform=\"translate({:.1f} {:.1f}) rotate(-40)\" text-anchor=\"end\">{}</text>\n",
                       x + 4, y, safe(shortened(plot.labels[c], kLabel)));
  }
  return out + svg_text(kLeft + cell * static_cast<double>(n) / 2, bottom + 92, "middle", "muted", plot.columns) +
         "</svg>\n";
}

}  // namespace sotto::report
