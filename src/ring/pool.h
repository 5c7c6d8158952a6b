#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace sotto::ring {

/// What several pools may take from the system together, in bytes; 0: no limit. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit = 0) : limit_(limit) {}

  /// Throws Error{no_resources} if `bytes` more would pass the limit.
  void take(std::size_t bytes);
  void give_back(std::size_t bytes) { taken_ -= bytes; }
  [[nodiscard]] std::size_t taken() const { return taken_; }

 private:
  std::size_t limit_;
  std::atomic<std::size_t> taken_ = 0;
};

/// Hands out equal blocks of n words (one residue polynomial each) and takes them back for reuse.
///
/// Memory comes from the system in large regions on huge pages where the system allows it. Thread-safe. Every block
/// must be returned before the pool is destroyed.
class BlockPool {
 public:
  /// words: length of a block. The budget must outlive the pool.
  BlockPool(std::size_t words, MemoryBudget& budget);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block with unspecified contents. Throws Error{no_resources} when memory or the limit is exhausted.
  std::uint64_t* take();
  /// Returns a block of this pool.
  void give(std::uint64_t* block) noexcept;

  [[nodiscard]] std::size_t words() const { return words_; }

 private:
  void grow();

  std::size_t words_, region_bytes_;
  MemoryBudget& budget_;
  std::mutex mutex_;
  std::vector<std::uint64_t*> free_;
  std::vector<std::pair<void*, std::size_t>> regions_;
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

/// One packed limb (six bytes per word): how keys and waiting ciphertexts are held.
class PackedLimb {
 public:
  PackedLimb() = default;
  explicit PackedLimb(BlockPool& pool) : block_(pool) {}

  [[nodiscard]] unsigned char* data() { return reinterpret_cast<unsigned char*>(block_.data()); }
  [[nodiscard]] const unsigned char* data() const { return reinterpret_cast<const unsigned char*>(block_.data()); }
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(block_); }

 private:
  Limb block_;
};

}  // namespace sotto::ring
