#include "runtime/integers.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ring/primes.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

constexpr double kMostForKernel = 0x1p53;
constexpr std::size_t kKernelWords = 16;
constexpr std::size_t kChunk = 1024;  // words that are made doubles at a time

bool all_below(const std::vector<double>& values, double bound) {
  return std::ranges::all_of(values, [bound](double v) { return std::abs(v) < bound; });
}

}  // namespace

Integers::Integers(std::vector<double> values) {
  const bool whole = values.size() % kKernelWords == 0;
  if (all_below(values, std::numeric_limits<std::int32_t>::max())) {
    vectors_ = whole;
    small_.assign(values.begin(), values.end());
  } else {
    vectors_ = whole && all_below(values, kMostForKernel);
    large_ = std::move(values);
  }
}

void Integers::residues(const simd::Kernels& kernels, const simd::ModulusView& prime, u64* out) const {
  const auto one = [&](double v) { return ring::residue_of(v, prime.q); };
  if (!vectors_) {
    std::transform(small_.begin(), small_.end(), out, one);
    std::transform(large_.begin(), large_.end(), out, one);
    return;
  }
  if (!large_.empty()) kernels.residues(out, large_.data(), large_.size(), prime);
  simd::AlignedArray<double> values(std::min(kChunk, small_.size()));
  for (std::size_t at = 0; at < small_.size(); at += kChunk) {
    const std::size_t count = std::min(kChunk, small_.size() - at);
    std::copy_n(small_.data() + at, count, values.data());
    kernels.residues(out + at, values.data(), count, prime);
  }
}

}  // namespace sotto::runtime
