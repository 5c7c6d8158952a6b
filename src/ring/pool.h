#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace sotto::ring {

/// Hands out equal blocks of n words (one residue polynomial each) and takes them back for reuse.
///
/// Memory comes from the system in large regions on huge pages where the system allows it. Thread-safe. Every block
/// must be returned before the pool is destroyed.
class BlockPool {
 public:
  /// words: length of a block; limit_bytes: 0, or the most that the pool may take from the system.
  explicit BlockPool(std::size_t words, std::size_t limit_bytes = 0);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block with unspecified contents. Throws Error{no_resources} when memory or the limit is exhausted.
  std::uint64_t* take();
  /// Returns a block of this pool.
  void give(std::uint64_t* block) noexcept;

  [[nodiscard]] std::size_t words() const { return words_; }
  /// Most bytes in use at any time so far.
  [[nodiscard]] std::size_t peak_bytes() const { return peak_ * words_ * sizeof(std::uint64_t); }

 private:
  void grow();

  std::size_t words_, limit_bytes_, region_bytes_;
  std::mutex mutex_;
  std::vector<std::uint64_t*> free_;
  std::vector<std::pair<void*, std::size_t>> regions_;
  std::size_t in_use_ = 0, peak_ = 0;
};

/// One block of a pool, returned when it goes out of scope. Move-only.
class Limb {
 public:
  Limb() = default;
  explicit Limb(BlockPool& pool) : pool_(&pool), data_(pool.take()) {}
  Limb(Limb&& o) noexcept : pool_(o.pool_), data_(std::exchange(o.data_, nullptr)) {}
  Limb& operator=(Limb&& o) noexcept {
    if (this != &o) {
      reset();
      pool_ = o.pool_;
      data_ = std::exchange(o.data_, nullptr);
    }
    return *this;
  }
  ~Limb() { reset(); }

  [[nodiscard]] std::uint64_t* data() { return data_; }
  [[nodiscard]] const std::uint64_t* data() const { return data_; }
  [[nodiscard]] explicit operator bool() const { return data_ != nullptr; }
  void reset() noexcept {
    if (data_ != nullptr) pool_->give(std::exchange(data_, nullptr));
  }

 private:
  BlockPool* pool_ = nullptr;
  std::uint64_t* data_ = nullptr;
};

}  // namespace sotto::ring
