#include "report/svg_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "report/svg_axis.h"

namespace sotto::report {

namespace {

constexpr double kTop = 34, kHeight = 240, kLeft = 84, kRight = kPlotWidth - 16, kBottom = kTop + kHeight;
constexpr double kIndent = 10;  // between the edges and the first and last values
constexpr std::size_t kMostPoints = 1000, kColumns = 400, kMostHits = 240, kMostDots = 64;
constexpr double kTiny = 1e-150, kHuge = 1e150;  // smaller sizes count as zero, larger ones as infinite

struct Point {
  std::size_t index;
  double value;
};
using Run = std::vector<Point>;  // without a gap

// The axis of values: their distance from the bottom.
class Scale {
 public:
  Scale(Heights heights, double smallest, double largest) : heights_(heights) {
    if (heights == Heights::logarithmic)
      logarithmic(smallest, largest);
    else
      linear(heights == Heights::from_zero ? 0 : smallest,
             heights == Heights::from_zero ? std::max(largest, 0.0) : largest);
  }

  [[nodiscard]] double at(double value) const {
    const double part = (of(value) - of(low_)) / (of(high_) - of(low_));
    return kHeight * std::clamp(part, 0.0, 1.0);
  }
  [[nodiscard]] const std::vector<double>& ticks() const { return ticks_; }

 private:
  [[nodiscard]] double of(double value) const {
    return heights_ == Heights::logarithmic ? std::log10(std::max(value, low_)) : value;
  }

  void linear(double low, double high) {
    // Equal values: a tenth around them, or from 0 to 1.
    if (high - low <= std::max(1e-9 * std::abs(high), kTiny)) {
      const double around = std::abs(high) < kTiny ? 1 : std::abs(high) / 10;
      if (high >= kTiny)
        low -= around;
      else
        high += around;
    }
    const double step = round_step((high - low) / 5);
    const auto begin = static_cast<std::int64_t>(std::floor(low / step + 1e-9));
    const auto end = static_cast<std::int64_t>(std::ceil(high / step - 1e-9));
    for (std::int64_t i = begin; i <= end; ++i) ticks_.push_back(static_cast<double>(i) * step);
    low_ = ticks_.front();
    high_ = ticks_.back();
  }

  void logarithmic(double low, double high) {
    constexpr int kDecades = 12;
    const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
    const int first = std::clamp(static_cast<int>(std::floor(std::log10(low) + 1e-9)), last - kDecades, last - 1);
    const bool few = last - first <= 2;
    for (int d = first; d <= last; ++d)
      for (int digit : {1, 2, 5})
        if (digit == 1 || (few && d < last)) ticks_.push_back(digit * std::pow(10.0, d));
    while (ticks_.size() > 2 && ticks_[1] <= low) ticks_.erase(ticks_.begin());
    while (ticks_.size() > 2 && ticks_[ticks_.size() - 2] >= high) ticks_.pop_back();
    low_ = ticks_.front();
    high_ = ticks_.back();
  }

  Heights heights_;
  double low_ = 0, high_ = 1;
  std::vector<double> ticks_;
};

class Drawing {
 public:
  explicit Drawing(const LinePlot& plot) : plot_(plot), scale_(scale_of(plot)) {
    for (const auto& s : plot.series) {
      count_ = std::max(count_, s.values.size());
      known_.push_back(std::ranges::any_of(s.values, [&](double v) { return drawn(plot, v); }));
    }
  }

  [[nodiscard]] std::string svg() const {
    std::string out = svg_start(kPlotWidth, kBottom + 46, plot_.title) + shading() + legend() + axes();
    for (std::size_t k = plot_.series.size(); k-- > 0;)
      if (known_[k]) out += line(k);
    return out + hits() + "</svg>\n";
  }

 private:
  static bool drawn(const LinePlot& plot, double v) {
    return std::abs(v) < kHuge && (plot.heights != Heights::logarithmic || v > kTiny);
  }

  static Scale scale_of(const LinePlot& plot) {
    std::optional<double> smallest, largest;
    for (const auto& s : plot.series)
      for (double v : s.values)
        if (drawn(plot, v) && v <= plot.most) {
          smallest = std::min(v, smallest.value_or(v));
          largest = std::max(v, largest.value_or(v));
        }
    const bool logarithmic = plot.heights == Heights::logarithmic;
    return {plot.heights, smallest.value_or(logarithmic ? 0.1 : 0), largest.value_or(1)};
  }

  [[nodiscard]] double x(double index) const {
    const double width = kRight - kLeft - 2 * kIndent;
    return kLeft + kIndent + (count_ <= 1 ? width / 2 : width * index / static_cast<double>(count_ - 1));
  }
  [[nodiscard]] double x(std::size_t index) const { return x(static_cast<double>(index)); }
  [[nodiscard]] double y(double value) const { return kBottom - scale_.at(value); }
  [[nodiscard]] std::int64_t number(std::size_t index) const { return plot_.first + static_cast<std::int64_t>(index); }

  // Where the shaded part begins; nothing if there is none.
  [[nodiscard]] std::optional<double> void_start() const {
    const std::int64_t index = std::int64_t{plot_.void_from} - plot_.first;
    if (index < 0 || static_cast<std::size_t>(index) >= count_) return std::nullopt;
    return index == 0 ? kLeft : x(static_cast<double>(index) - 0.5);
  }

  [[nodiscard]] std::string shading() const {
    const auto start = void_start();
    return start ? svg_box(*start, kTop, kRight - *start, kHeight, "void") : "";
  }

  [[nodiscard]] std::string legend() const {
    std::vector<LegendEntry> entries;
    for (std::size_t k = 0; k < plot_.series.size(); ++k)
      if (known_[k]) entries.push_back({fmt::format("curve{}", k), plot_.series[k].name, true});
    if (void_start()) entries.push_back({"void", plot_.void_name});
    return svg_legend(kLeft, 14, entries);
  }

  [[nodiscard]] std::string axes() const {
    std::string out;
    for (double t : scale_.ticks()) {
      out += svg_line(kLeft, y(t), kRight, y(t), t == scale_.ticks().front() ? "axis" : "grid");
      out += svg_text(kLeft - 8, y(t) + 4, "end", "muted", tick_text(t));
    }
    // As many numbers as have room; the first is always there.
    const std::size_t about = (count_ + 14) / 15;
    const auto every = static_cast<std::int64_t>(round_step(static_cast<double>(std::max<std::size_t>(about, 1))));
    for (std::size_t i = 0; i < count_; ++i) {
      const std::int64_t n = number(i);
      if (i == 0 || (n % every == 0 && static_cast<double>(i) > 0.6 * static_cast<double>(every)))
        out += svg_text(x(i), kBottom + 16, "middle", "muted", fmt::format("{}", n));
    }
    out += svg_text((kLeft + kRight) / 2, kBottom + 36, "middle", "muted", plot_.axis);
    return out + fmt::format(
                     "<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\" "
                     "class=\"muted\">{}</text>\n",
                     (kTop + kBottom) / 2, safe(plot_.values));
  }

  // What a line goes through.
  [[nodiscard]] std::vector<Run> runs(const std::vector<double>& values) const {
    const std::size_t together = count_ <= kMostPoints ? 1 : (count_ + kColumns - 1) / kColumns;
    std::vector<Run> out;
    bool open = false;
    for (std::size_t from = 0; from < values.size(); from += together) {
      std::optional<Point> low, high;
      for (std::size_t i = from; i < std::min(from + together, values.size()); ++i) {
        if (!drawn(plot_, values[i])) continue;
        if (!low || values[i] < low->value) low = {i, values[i]};
        if (!high || values[i] > high->value) high = {i, values[i]};
      }
      if (!low) {
        open = open && plot_.bridged;
        continue;
      }
      if (!open) out.emplace_back();
      open = true;
      if (low->index > high->index) std::swap(low, high);
      out.back().push_back(*low);
      if (low->index != high->index) out.back().push_back(*high);
    }
    return out;
  }

  [[nodiscard]] std::string line(std::size_t k) const {
    std::string path, dots;
    const auto strokes = runs(plot_.series[k].values);
    std::size_t points = 0;
    for (const Run& run : strokes) points += run.size();
    const bool all_dots = points <= kMostDots;
    for (const Run& run : strokes) {
      for (const Point& p : run) {
        if (run.size() > 1)
          path += fmt::format("{}{:.1f} {:.1f}", &p == run.data() ? "M" : "L", x(p.index), y(p.value));
        if (all_dots || run.size() == 1)
          dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" class=\"s{} dot\"/>\n", x(p.index),
                              y(p.value), 3 + 1.5 * static_cast<double>(k), k);
      }
    }
    if (!path.empty()) path = fmt::format("<path d=\"{}\" class=\"curve{}\"/>\n", path, k);
    return path + dots;
  }

  // A value, or the range of several.
  [[nodiscard]] std::string value_text(const std::vector<double>& values, std::size_t from, std::size_t to) const {
    std::optional<double> low, high;
    for (std::size_t i = from; i < std::min(to, values.size()); ++i)
      if (std::isfinite(values[i])) {
        low = std::min(values[i], low.value_or(values[i]));
        high = std::max(values[i], high.value_or(values[i]));
      }
    if (!low) return "unknown";
    const std::string text = *low == *high ? fmt::format("{:.5g}", *low) : fmt::format("{:.5g} to {:.5g}", *low, *high);
    return plot_.unit.empty() ? text : text + " " + plot_.unit;
  }

  [[nodiscard]] std::string hits() const {
    std::string out;
    const std::size_t together = (count_ + kMostHits - 1) / kMostHits;
    for (std::size_t from = 0; from < count_; from += together) {
      const std::size_t to = std::min(from + together, count_);
      std::string hint = plot_.axis + fmt::format(" {}", number(from));
      if (to - from > 1) hint += fmt::format(" to {}", number(to - 1));
      const char* before = ": ";
      for (std::size_t k = 0; k < plot_.series.size(); ++k) {
        if (!known_[k]) continue;
        hint += before + plot_.series[k].name + " " + value_text(plot_.series[k].values, from, to);
        before = "; ";
      }
      const double left = from == 0 ? kLeft : x(static_cast<double>(from) - 0.5);
      const double right = to == count_ ? kRight : x(static_cast<double>(to) - 0.5);
      out += svg_box(left, kTop, right - left, kHeight, "hit", hint);
    }
    return out;
  }

  const LinePlot& plot_;
  Scale scale_;
  std::size_t count_ = 0;
  std::vector<bool> known_;
};

}  // namespace

std::string line_plot(const LinePlot& plot) { return Drawing(plot).svg(); }

}  // namespace sotto::report
