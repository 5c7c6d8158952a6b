#include "ring/pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace sotto::ring {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}

BlockPool::BlockPool(std::size_t words, std::size_t limit_bytes)
    : words_(words), limit_bytes_(limit_bytes), region_bytes_(std::max(16 * kHugePage, words * 8)) {
  check(words % 64 == 0, "blocks are whole cache lines");
}

BlockPool::~BlockPool() {
  for (auto [p, bytes] : regions_) munmap(p, bytes);
}

void BlockPool::grow() {
  const std::size_t block = words_ * sizeof(std::uint64_t);
  const std::size_t taken = regions_.size() * region_bytes_;
  if (limit_bytes_ != 0 && taken + region_bytes_ > limit_bytes_) {
    throw Error(ErrorCode::no_resources, "the memory limit of " + std::to_string(limit_bytes_ >> 20) +
                                             " MiB is too small for this step; raise --memory");
  }
  void* p = mmap(nullptr, region_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    throw Error(ErrorCode::no_resources,
                "out of memory after " + std::to_string(taken >> 20) + " MiB of polynomials; use a smaller batch");
  }
  madvise(p, region_bytes_, MADV_HUGEPAGE);
  regions_.emplace_back(p, region_bytes_);
  auto* words = static_cast<std::uint64_t*>(p);
  for (std::size_t i = region_bytes_ / block; i-- > 0;) free_.push_back(words + i * words_);
}

std::uint64_t* BlockPool::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) grow();
  std::uint64_t* block = free_.back();
  free_.pop_back();
  peak_ = std::max(peak_, ++in_use_);
  return block;
}

void BlockPool::give(std::uint64_t* block) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(block);
  --in_use_;
}

}  // namespace sotto::ring
