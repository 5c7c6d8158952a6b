#pragma once

#include <nanobind/ndarray.h>

#include <utility>
#include <vector>

namespace sotto::python {

/// An array of Python that owns these numbers, row after row.
template <class T>
nanobind::object array_of(std::vector<T> values, const std::vector<std::size_t>& shape) {
  auto* owned = new std::vector<T>(std::move(values));
  const nanobind::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nanobind::cast(nanobind::ndarray<nanobind::numpy, T>(owned->data(), shape.size(), shape.data(), owner));
}

}  // namespace sotto::python
