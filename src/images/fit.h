#pragma once

#include "images/image.h"

namespace sotto::images {

/// What becomes of a picture that does not have the network's size.
enum class Fit {
  exact,    ///< it is refused
  stretch,  ///< scaled to the network's size, its shape changes
  crop,     ///< the largest middle part with the shape of the network's, scaled
  middle,   ///< the middle part of the network's size, as it is
};

/// The image with the given height and width. Scaling is bilinear, over all pixels that a new one covers when it makes
/// an image smaller (a triangle filter, as Pillow's and torchvision's with antialiasing), rounded once at the end.
/// Throws Error{bad_input} for Fit::middle on an image that is smaller, and for Fit::exact on one of another size.
Image fitted(Image image, int height, int width, Fit fit);

}  // namespace sotto::images
