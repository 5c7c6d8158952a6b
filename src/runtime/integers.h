#pragma once

#include <cstdint>
#include <vector>

#include "simd/kernels.h"

namespace sotto::runtime {

/// The coefficients of a plaintext: integers of any size that doubles hold.
class Integers {
 public:
  Integers() = default;
  explicit Integers(std::vector<double> values);

  [[nodiscard]] std::size_t size() const { return values_.size(); }
  /// All of them modulo a prime, in [0, q); out is 64-byte aligned unless there is only one.
  void residues(const simd::Kernels& kernels, const simd::ModulusView& prime, std::uint64_t* out) const;

 private:
  std::vector<double> values_;
  bool vectors_ = false;  // whether the kernel takes them
};

}  // namespace sotto::runtime
