#pragma once

#include <vector>

#include "plan/client_spec.h"
#include "sotto/images.h"

namespace sotto::api {

/// Throws Error{usage} for the description of a training, for which images are encrypted with their labels.
void require_inference(const plan::ClientSpec& spec);

/// Preprocessed values [c][h][w] of every stride-th image. Throws Error{bad_input} for images of another shape than the
/// network's, for none at all, and for values that are not numbers or larger than any network's.
std::vector<std::vector<double>> values_of(const ImagesView& images, const plan::Interface& io, std::size_t stride = 1);

}  // namespace sotto::api
