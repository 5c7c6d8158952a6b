#include "report/svg_packing.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/svg_axis.h"

namespace sotto::report {

namespace {

constexpr int kMostBoxes = 16, kMostCells = 32;
constexpr double kLeft = 4, kSpan = 520, kGap = 3, kHigh = 24, kStep = 74, kGrid = 112;

// A caption and below it a row of `count` boxes, the first one chosen; those that have no room are dots. Returns the
// width of a box.
double row(std::string& out, double y, int count, const std::string& caption) {
  const int shown = std::min(count, kMostBoxes);
  const double pitch = std::min(kSpan / shown, 130.0);
  out += svg_text(kLeft + 8, y - 8, "start", "", caption);
  for (int i = 0; i < shown; ++i) {
    const double x = kLeft + pitch * i;
    if (count > kMostBoxes && i == shown - 2)
      out += svg_text(x + pitch / 2, y + kHigh / 2 + 4, "middle", "muted", "\xe2\x80\xa6");
    else
      out += svg_box(x, y, pitch - kGap, kHigh, i == 0 ? "chosen" : "box");
  }
  return pitch - kGap;
}

// From a chosen box to the row below it, which is `width` wide.
std::string zoom(double y, double box, double width) {
  return svg_line(kLeft, y + kHigh, kLeft, y + kStep, "zoom") +
         svg_line(kLeft + box, y + kHigh, kLeft + width, y + kStep, "zoom");
}

}  // namespace

std::string packing_picture(int images, int group, const packing::Axes& tile) {
  constexpr double kTop = 22, kChannels = kTop + kStep, kTile = kChannels + kStep;
  const int longer = std::min(std::max(tile.h, tile.w), kMostCells), channels = std::min(group, kMostBoxes);
  const double pitch = kGrid / longer, gap = longer > 16 ? 0.5 : 1;
  std::string rows;
  const double image = row(rows, kTop, images, fmt::format("images in a ciphertext: {}", images));
  const double channel = row(rows, kChannels, group, fmt::format("channels of an image: {}", group));
  for (int r = 0; r < std::min(tile.h, kMostCells); ++r)
    for (int c = 0; c < std::min(tile.w, kMostCells); ++c)
      rows += svg_box(kLeft + pitch * c, kTile + pitch * r, pitch - gap, pitch - gap, "s0");
  rows += svg_text(kLeft + kGrid + 12, kTile + 14, "start", "",
                   fmt::format("positions of a channel: {} x {}", tile.h, tile.w));
  const std::string title = fmt::format("One ciphertext: {} images, {} channels of each, {} x {} positions of each",
                                        images, group, tile.h, tile.w);
  return svg_start(kSpan + 2 * kLeft, kTile + kGrid + 4, title) +
         zoom(kTop, image, std::min(kSpan, channels * 130.0) - kGap) + zoom(kChannels, channel, kGrid) + rows +
         "</svg>\n";
}

}  // namespace sotto::report
