#include "ring/pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace sotto::ring {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}

void MemoryBudget::take(std::size_t bytes) {
  std::size_t taken = taken_;
  do {
    if (limit_ != 0 && taken + bytes > limit_)
      throw Error(ErrorCode::no_resources,
                  "the memory limit of " + std::to_string(limit_ >> 20) + " MiB is too small for this step; raise it",
                  Setting::memory);
  } while (!taken_.compare_exchange_weak(taken, taken + bytes));
}

BlockPool::BlockPool(std::size_t words, MemoryBudget& budget)
    : words_(words), region_bytes_(std::max(16 * kHugePage, words * 8)), budget_(budget) {
  check(words % 8 == 0, "blocks are whole cache lines");
}

BlockPool::~BlockPool() {
  for (auto [p, bytes] : regions_) munmap(p, bytes);
}

void BlockPool::grow() {
  const std::size_t blocks = region_bytes_ / (words_ * sizeof(std::uint64_t));
  regions_.reserve(regions_.size() + 1);
  free_.reserve((regions_.size() + 1) * blocks);  // so that `give` never allocates
  budget_.take(region_bytes_);
  void* p = mmap(nullptr, region_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    budget_.give_back(region_bytes_);
    throw Error(ErrorCode::no_resources, "out of memory after " + std::to_string(budget_.taken() >> 20) +
                                             " MiB of polynomials; use a smaller batch");
  }
  madvise(p, region_bytes_, MADV_HUGEPAGE);
  regions_.emplace_back(p, region_bytes_);
  auto* words = static_cast<std::uint64_t*>(p);
  for (std::size_t i = blocks; i-- > 0;) free_.push_back(words + i * words_);
}

std::uint64_t* BlockPool::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) grow();
  std::uint64_t* block = free_.back();
  free_.pop_back();
  return block;
}

void BlockPool::give(std::uint64_t* block) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(block);
}

}  // namespace sotto::ring
