#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "simd/kernels.h"

namespace sotto::simd {

/// Array of 64-byte aligned trivially copyable elements.
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t size)
      : data_(size ? static_cast<T*>(::operator new[](size * sizeof(T), std::align_val_t{64})) : nullptr),
        size_(size) {}

  [[nodiscard]] T* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Delete {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<T[], Delete> data_;
  std::size_t size_ = 0;
};

/// q, 1/q for a modulus below 2^48.
ModulusView make_modulus_view(std::uint64_t q);

/// The twiddle tables of one transform in the layout that one kernel set wants.
///
/// A standard ring Z[X]/(X^n + 1) takes a primitive 2n-th root of unity, the conjugate-invariant ring of rank n
/// (Z[X + 1/X] inside Z[X]/(X^2n + 1), ePrint 2018/952) a primitive 4n-th root: its transform is the left half of the
/// 2n-point tree, after a fold by the square root of -1.
class NttTables {
 public:
  /// n: power of two, 64 .. 2^17; root: primitive 2n-th (4n-th if conjugate_invariant) root of unity modulo q.
  NttTables(std::size_t n, std::uint64_t q, std::uint64_t root, bool conjugate_invariant, TwiddleLayout layout);

  [[nodiscard]] const NttView& view() const { return view_; }

 private:
  NttView view_;
  AlignedArray<std::uint64_t> words_[4];
  AlignedArray<double> doubles_[2];
};

/// Exponent e such that output k of the transform is the value at root^e: 2 brv(k) + 1, or 4 brv(k) + 1 in the
/// conjugate-invariant ring, where brv reverses log2(n) bits.
std::uint64_t exponent_of(std::size_t k, std::size_t n, bool conjugate_invariant);

/// Table for the automorphism X -> X^g (g odd; g = 1 modulo 4 in the conjugate-invariant ring) of transformed
/// polynomials of length n; n/4 entries.
std::vector<std::uint32_t> make_automorphism_table(std::uint64_t g, std::size_t n, bool conjugate_invariant);

/// a^e modulo q.
std::uint64_t pow_mod(std::uint64_t a, std::uint64_t e, std::uint64_t q);

}  // namespace sotto::simd
