#include "compiler/calibration.h"

#include <cmath>
#include <random>
#include <utility>

namespace sotto::compiler {

namespace {

constexpr double kMostWork = 1e10;  // multiply-adds of one pass over the images
constexpr double kLeastImages = 4;
constexpr double kRoom = 1.5, kMadeUpRoom = 4;

constexpr double kFaint[] = {0.25, 0.0625};    // contrasts
constexpr double kBrightness[] = {0, 0.5, 1};  // part of the grey levels left free that lies below them

// What becomes of pixels 0 .. 1.
struct Levels {
  bool extreme = false;  // every channel black or white
  double low = 0, high = 1;
};

// They only have to be as lively as real images: waves and noise.
std::vector<std::vector<double>> made_up_images(const plan::Interface& io, const Levels& levels, std::size_t count) {
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<std::vector<double>> images(count);
  for (std::size_t k = 0; k < images.size(); ++k) {
    // From all black over any mixture to all white.
    const double threshold = 1.25 * static_cast<double>(count - 1 - k) / static_cast<double>(count - 1) - 0.125;
    for (int c = 0; c < io.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      const double fx = 8 * uniform(rng), fy = 8 * uniform(rng), at = 6 * uniform(rng), share = uniform(rng);
      for (int y = 0; y < io.height; ++y) {
        for (int x = 0; x < io.width; ++x) {
          const double wave = 0.5 + 0.5 * std::sin(fx * x / io.width + fy * y / io.height + at);
          double v = share * uniform(rng) + (1 - share) * wave;
          if (levels.extreme) v = v < threshold ? 0 : 1;
          v = levels.low + (levels.high - levels.low) * v;
          images[k].push_back((v - io.mean[channel]) / io.std[channel]);
        }
      }
    }
  }
  return images;
}

}  // namespace

Calibration calibration_from(std::vector<std::vector<double>> images) {
  std::vector<double> room(images.size(), kRoom);
  return {std::move(images), std::move(room), false};
}

std::size_t affordable(double multiply_adds) {
  return static_cast<std::size_t>(std::max(kLeastImages, kMostWork / std::max(multiply_adds, 1.0)));
}

Calibration thinned(Calibration calibration, double multiply_adds) {
  const std::size_t most = std::min(affordable(multiply_adds), kMostCalibration),
                    stride = (calibration.images.size() + most - 1) / most;
  if (stride <= 1) return calibration;
  Calibration few{{}, {}, calibration.made_up};
  for (std::size_t k = 0; k < calibration.images.size(); k += stride) {
    few.images.push_back(std::move(calibration.images[k]));
    few.room.push_back(calibration.room[k]);
  }
  return few;
}

Calibration made_up_calibration(const plan::Interface& io, std::size_t images) {
  Calibration out{made_up_images(io, {}, images), std::vector<double>(images, kMadeUpRoom), true};
  for (auto& image : made_up_images(io, {.extreme = true}, images)) {
    out.images.push_back(std::move(image));
    out.room.push_back(kRoom);
  }
  return out;
}

std::vector<Calibration> faint_calibrations(const plan::Interface& io, std::size_t images) {
  std::vector<Calibration> kinds;
  for (double contrast : kFaint)
    for (double brightness : kBrightness) {
      const double low = brightness * (1 - contrast);
      kinds.push_back({made_up_images(io, {.low = low, .high = low + contrast}, images),
                       std::vector<double>(images, kMadeUpRoom), true});
    }
  return kinds;
}

}  // namespace sotto::compiler
