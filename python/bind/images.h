#pragma once

#include <nanobind/ndarray.h>

#include "sotto/images.h"

namespace sotto::python {

/// [image][channel][row][column], dense; uint8, float32 or float64, which the package sees to.
using ImageArray = nanobind::ndarray<nanobind::ro, nanobind::ndim<4>, nanobind::c_contig, nanobind::device::cpu>;

inline ImagesView view_of(const ImageArray& images) {
  const auto view = [&]<class T>(const T* data) {
    return ImagesView(std::span<const T>(data, images.size()), images.shape(1), images.shape(2), images.shape(3));
  };
  if (images.dtype() == nanobind::dtype<std::uint8_t>()) return view(static_cast<const std::uint8_t*>(images.data()));
  if (images.dtype() == nanobind::dtype<float>()) return view(static_cast<const float*>(images.data()));
  if (images.dtype() == nanobind::dtype<double>()) return view(static_cast<const double*>(images.data()));
  throw nanobind::type_error("images are uint8, float32 or float64");
}

}  // namespace sotto::python
