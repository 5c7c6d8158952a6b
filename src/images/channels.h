#pragma once

#include "images/image.h"

namespace sotto::images {

/// An image of 1 or 3 channels of bytes with 1 or 3 channels: grey is 0.299 R + 0.587 G + 0.114 B, rounded, as
/// Pillow's.
Image with_channels(Image image, int channels);

}  // namespace sotto::images
