#include "runtime/integers.h"

#include <algorithm>
#include <cmath>

#include "ring/primes.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

constexpr double kMostForKernel = 0x1p53;
constexpr std::size_t kKernelWords = 16;

}  // namespace

Integers::Integers(std::vector<double> values)
    : values_(std::move(values)),
      vectors_(values_.size() % kKernelWords == 0 &&
               std::all_of(values_.begin(), values_.end(), [](double v) { return std::abs(v) < kMostForKernel; })) {}

void Integers::residues(const simd::Kernels& kernels, const simd::ModulusView& prime, u64* out) const {
  if (vectors_)
    kernels.residues(out, values_.data(), values_.size(), prime);
  else
    std::transform(values_.begin(), values_.end(), out, [&](double v) { return ring::residue_of(v, prime.q); });
}

}  // namespace sotto::runtime
