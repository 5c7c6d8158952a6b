#include "report/svg_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "client/sheet.h"

namespace sotto::report {

std::string safe(const std::string& text) { return client::escape_html(readable_text(text)); }

std::string shortened(const std::string& text, std::size_t most) {
  // Whole characters: a byte 10xxxxxx continues one.
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) starts.push_back(i);
  if (starts.size() <= most) return text;
  const std::size_t head = most / 2, tail = most - head - 1;
  return text.substr(0, starts[head]) + "\xe2\x80\xa6" + text.substr(starts[starts.size() - tail]);
}

std::string tick_text(double value) { return fmt::format("{:.6g}", value); }

std::string with_unit(double value, const std::string& unit) {
  if (!std::isfinite(value)) return "unknown";
  const double size = std::abs(value);
  if (size < 1) return fmt::format("{:.3g} {}", value, unit);
  return fmt::format("{:.{}f} {}", value, size < 10 ? 2 : size < 100 ? 1 : 0, unit);
}

double largest_of(const std::vector<double>& values) {
  double largest = 0;
  for (double v : values)
    if (std::isfinite(v)) largest = std::max(largest, v);
  return largest;
}

double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (double nice : {1.0, 2.0, 2.5, 5.0})
    if (nice * power >= least * (1 - 1e-9)) return nice * power;
  return 10 * power;
}

Axis::Axis(double largest, double pixels, int about) : pixels_(pixels) {
  if (!std::isfinite(largest) || largest <= 0) largest = 1;
  const double step = round_step(largest / about);
  const int last = static_cast<int>(std::ceil(largest / step - 1e-9));
  for (int i = 0; i <= last; ++i) ticks_.push_back(i * step);
}

double Axis::at(double value) const {
  return std::isfinite(value) ? pixels_ * std::clamp(value / ticks_.back(), 0.0, 1.0) : 0;
}

std::string svg_start(double width, double height, const std::string& title) {
  return fmt::format(
      "<svg class=\"plot\" style=\"max-width:{0:.0f}px\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "role=\"img\"><title>{2}</title>\n",
      width, height, safe(title));
}

std::string svg_text(double x, double y, const std::string& anchor, const std::string& style, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y, anchor, style,
                     safe(text));
}

std::string svg_line(double x0, double y0, double x1, double y1, const std::string& style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x0, y0, x1, y1,
                     style);
}

std::string svg_box(double x, double y, double width, double height, const std::string& style,
                    const std::string& hint) {
  const std::string start =
      fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"", x, y,
                  std::max(width, 0.0), std::max(height, 0.0), style);
  return start + (hint.empty() ? "/>\n" : "><title>" + safe(hint) + "</title></rect>\n");
}

std::string svg_grid(const Axis& axis, double left, double right, double bottom) {
  std::string out;
  for (double t : axis.ticks()) {
    const double y = bottom - axis.at(t);
    out += svg_line(left, y, right, y, t == 0 ? "axis" : "grid");
    out += svg_text(left - 8, y + 4, "end", "muted", tick_text(t));
  }
  return out;
}

std::string svg_legend(double x, double y, const std::vector<LegendEntry>& entries) {
  constexpr double kCharacter = 6.6;  // width, about
  std::string out;
  for (const auto& e : entries) {
    out += e.line ? svg_line(x, y - 4, x + 18, y - 4, e.style) : svg_box(x, y - 10, 12, 12, e.style);
    const double text = x + (e.line ? 24 : 18);
    out += svg_text(text, y, "start", "", e.name);
    x = text + kCharacter * static_cast<double>(e.name.size()) + 20;
  }
  return out;
}

}  // namespace sotto::report
