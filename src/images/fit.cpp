#include "images/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "images/refuse.h"

namespace sotto::images {

namespace {

// Weights of the pixels from `first` on for one new pixel.
struct Tap {
  std::size_t first = 0;
  std::vector<double> weights;
};

// A line of `size` pixels, of which the part [begin, end) becomes `count` new ones.
std::vector<Tap> taps_of(std::size_t size, double begin, double end, int count) {
  std::vector<Tap> taps(static_cast<std::size_t>(count));
  const double step = (end - begin) / count, reach = std::max(step, 1.0);
  for (int k = 0; k < count; ++k) {
    const double centre = begin + (k + 0.5) * step;
    const auto lo = static_cast<std::size_t>(std::max(0.0, std::floor(centre - reach)));
    const auto hi = static_cast<std::size_t>(std::min(static_cast<double>(size), std::ceil(centre + reach)));
    Tap& tap = taps[static_cast<std::size_t>(k)];
    tap.first = lo;
    double sum = 0;
    for (std::size_t i = lo; i < hi; ++i) {
      const double distance = std::abs(static_cast<double>(i) + 0.5 - centre) / reach;
      tap.weights.push_back(std::max(0.0, 1 - distance));
      sum += tap.weights.back();
    }
    for (double& w : tap.weights) w /= sum;
  }
  return taps;
}

template <class T>
std::vector<T> resampled(const std::vector<T>& in, const Image& image, const std::vector<Tap>& rows,
                         const std::vector<Tap>& columns) {
  const auto width = static_cast<std::size_t>(image.width), height = static_cast<std::size_t>(image.height);
  std::vector<T> out;
  out.reserve(static_cast<std::size_t>(image.channels) * rows.size() * columns.size());
  std::vector<double> line(width);
  for (std::size_t c = 0; c < static_cast<std::size_t>(image.channels); ++c) {
    const T* plane = in.data() + c * width * height;
    for (const Tap& row : rows) {
      std::fill(line.begin(), line.end(), 0.0);
      for (std::size_t k = 0; k < row.weights.size(); ++k)
        for (std::size_t x = 0; x < width; ++x)
          line[x] += row.weights[k] * static_cast<double>(plane[(row.first + k) * width + x]);
      for (const Tap& column : columns) {
        double sum = 0;
        for (std::size_t k = 0; k < column.weights.size(); ++k) sum += column.weights[k] * line[column.first + k];
        if constexpr (std::is_integral_v<T>) sum = std::clamp(std::floor(sum + 0.5), 0.0, 255.0);
        out.push_back(static_cast<T>(sum));
      }
    }
  }
  return out;
}

}  // namespace

Image fitted(Image image, int height, int width, Fit fit) {
  if (image.height == height && image.width == width) return image;
  if (fit == Fit::exact)
    throw Error(ErrorCode::bad_input,
                fmt::format("it is {}x{} pixels, the network takes {}x{}; resize it first, or have it fitted",
                            image.width, image.height, width, height),
                Setting::fit);
  if (fit == Fit::middle && (image.height < height || image.width < width))
    throw Error(ErrorCode::bad_input,
                fmt::format("it is {}x{} pixels, too small to cut {}x{} out of it; have it scaled", image.width,
                            image.height, width, height),
                Setting::fit);
  double part_height = image.height, part_width = image.width;
  if (fit == Fit::crop) {
    const double scale = std::min(part_height / height, part_width / width);
    part_height = scale * height;
    part_width = scale * width;
  } else if (fit == Fit::middle) {
    part_height = height;
    part_width = width;
  }
  double top = (image.height - part_height) / 2, left = (image.width - part_width) / 2;
  if (fit == Fit::middle) {  // whole pixels
    top = std::floor(top);
    left = std::floor(left);
  }
  const auto rows = taps_of(static_cast<std::size_t>(image.height), top, top + part_height, height);
  const auto columns = taps_of(static_cast<std::size_t>(image.width), left, left + part_width, width);
  if (!image.pixels.empty()) image.pixels = resampled(image.pixels, image, rows, columns);
  if (!image.values.empty()) image.values = resampled(image.values, image, rows, columns);
  image.height = height;
  image.width = width;
  return image;
}

}  // namespace sotto::images
