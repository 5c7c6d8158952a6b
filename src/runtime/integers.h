#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "simd/kernels.h"

namespace sotto::runtime {

/// The coefficients of a plaintext: integers of any size that doubles hold, in four bytes each where all of them fit.
class Integers {
 public:
  Integers() = default;
  explicit Integers(std::vector<double> values);

  [[nodiscard]] std::size_t size() const { return small_.size() + large_.size(); }
  [[nodiscard]] std::uint64_t bytes() const {
    return small_.size() * sizeof(small_[0]) + large_.size() * sizeof(large_[0]);
  }
  /// All of them modulo a prime, in [0, q); out is 64-byte aligned unless there is only one.
  void residues(const simd::Kernels& kernels, const simd::ModulusView& prime, std::uint64_t* out) const;

 private:
  std::vector<std::int32_t> small_;  // one of both is empty
  std::vector<double> large_;
  bool vectors_ = false;  // whether the kernel takes them
};

}  // namespace sotto::runtime
