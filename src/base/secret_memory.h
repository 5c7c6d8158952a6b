#pragma once

#include <sodium.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace sotto {

/// 64-byte aligned array of trivially copyable elements that is wiped when it is freed and cannot be copied. Its pages
/// belong to it alone, are left out of core dumps, and are kept from swap as far as the system lets (ulimit -l).
template <class T>
class SecretArray {
 public:
  SecretArray() = default;
  explicit SecretArray(std::size_t size)
      : data_(static_cast<T*>(sodium_init() < 0 ? nullptr : sodium_malloc((size * sizeof(T) + 63) / 64 * 64))),
        size_(size) {
    if (data_ == nullptr) throw std::bad_alloc();
    sodium_memzero(data_, size * sizeof(T));
  }
  SecretArray(SecretArray&& o) noexcept : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  SecretArray& operator=(SecretArray&& o) noexcept {
    if (this != &o) {
      release();
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
    }
    return *this;
  }
  SecretArray(const SecretArray&) = delete;
  SecretArray& operator=(const SecretArray&) = delete;
  ~SecretArray() { release(); }

  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  void release() noexcept {
    sodium_free(std::exchange(data_, nullptr));  // wipes
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sotto
