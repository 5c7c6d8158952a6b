#pragma once

#include <string>
#include <vector>

namespace sotto::report {

/// Width of the plots in their own units.
inline constexpr double kPlotWidth = 960;

/// Text for HTML and SVG: harmless characters, valid UTF-8, no control characters.
std::string safe(const std::string& text);

/// At most `most` characters, the middle left out if there are more. Not escaped.
std::string shortened(const std::string& text, std::size_t most);

/// A number in as few digits as it needs on an axis: 0, 0.25, 1500.
std::string tick_text(double value);

/// A number with three digits and its unit, or "unknown" if it is not finite.
std::string with_unit(double value, const std::string& unit);

/// The largest of the numbers that are finite, at least 0.
double largest_of(const std::vector<double>& values);

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below `least`, a positive number.
double round_step(double least);

/// A linear axis from zero to a round end, `pixels` long.
class Axis {
 public:
  /// about: how many ticks would be right.
  Axis(double largest, double pixels, int about);

  /// Distance of a value from the origin; 0 for values that are not finite.
  [[nodiscard]] double at(double value) const;
  /// Round values from 0 to the end.
  [[nodiscard]] const std::vector<double>& ticks() const { return ticks_; }

 private:
  double pixels_;
  std::vector<double> ticks_;
};

/// The beginning of an <svg> element, with a title for screen readers; the caller appends "</svg>".
std::string svg_start(double width, double height, const std::string& title);

/// Grid lines and numbers of a vertical axis that stands on y = bottom, from `left` to `right`.
std::string svg_grid(const Axis& axis, double left, double right, double bottom);

/// `style`: its class.
std::string svg_text(double x, double y, const std::string& anchor, const std::string& style, const std::string& text);
std::string svg_line(double x0, double y0, double x1, double y1, const std::string& style);
/// `hint`: shown when one points at it; may be empty.
std::string svg_box(double x, double y, double width, double height, const std::string& style,
                    const std::string& hint = {});

/// What a legend explains: a box or a line in the style of a class.
struct LegendEntry {
  std::string style, name;
  bool line = false;
};
std::string svg_legend(double x, double y, const std::vector<LegendEntry>& entries);

}  // namespace sotto::report
