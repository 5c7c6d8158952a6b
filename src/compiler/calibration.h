#pragma once

#include <cstddef>
#include <vector>

#include "plan/plan.h"

namespace sotto::compiler {

inline constexpr std::size_t kMadeUpImages = 24;
inline constexpr std::size_t kMostCalibration = 512;  ///< images of a user that are measured

/// Images on which the compiler measures a network.
struct Calibration {
  std::vector<std::vector<double>> images;  ///< preprocessed, [c][h][w]
  std::vector<double> room;  ///< by image: how much larger than on it values may become before they leave their range
  bool made_up = false;
};

/// The user's images: values may become half as large again.
Calibration calibration_from(std::vector<std::vector<double>> images);

/// Images of a network with so many multiply-adds of which a pass over all takes seconds.
std::size_t affordable(double multiply_adds);

/// Some of the images, at equal distances, as a data set may be sorted by class: affordable() of them, and no more than
/// kMostCalibration.
Calibration thinned(Calibration calibration, double multiply_adds);

/// Pictures of noise and waves, always the same, for networks of which nobody gives images: values may become four
/// times as large as on ordinary ones, half as large again as on pictures whose channels are black or white everywhere.
/// images: of each of both kinds.
Calibration made_up_calibration(const plan::Interface& io, std::size_t images = kMadeUpImages);

/// Pictures like the ordinary ones of made_up_calibration of less contrast: dark, grey and bright ones, so many of each
/// kind. A network that is used to such brings their values back to full size, where others leave its ranges unused.
std::vector<Calibration> faint_calibrations(const plan::Interface& io, std::size_t images);

}  // namespace sotto::compiler
