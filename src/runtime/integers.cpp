#include "runtime/integers.h"

#include <algorithm>
#include <cmath>

#include "ring/primes.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

constexpr double kMostForKernel = 0x1p53;
constexpr std::size_t kKernelWords = 16;

u64 residue(double value, u64 q) {
  if (std::abs(value) < 0x1p62) {
    const std::int64_t m = static_cast<std::int64_t>(value) % static_cast<std::int64_t>(q);
    return static_cast<u64>(m < 0 ? m + static_cast<std::int64_t>(q) : m);
  }
  // A double is an integer of 53 bits times a power of two.
  int exponent = 0;
  const double magnitude = std::ldexp(std::frexp(std::abs(value), &exponent), 53);
  const u64 power = simd::pow_mod(2, static_cast<u64>(exponent - 53), q);
  const u64 m = ring::mul_mod(static_cast<u64>(magnitude) % q, power, q);
  return value < 0 && m != 0 ? q - m : m;
}

}  // namespace

Integers::Integers(std::vector<double> values)
    : values_(std::move(values)),
      vectors_(values_.size() % kKernelWords == 0 &&
               std::all_of(values_.begin(), values_.end(), [](double v) { return std::abs(v) < kMostForKernel; })) {}

void Integers::residues(const simd::Kernels& kernels, const simd::ModulusView& prime, u64* out) const {
  if (vectors_)
    kernels.residues(out, values_.data(), values_.size(), prime);
  else
    std::transform(values_.begin(), values_.end(), out, [&](double v) { return residue(v, prime.q); });
}

}  // namespace sotto::runtime
