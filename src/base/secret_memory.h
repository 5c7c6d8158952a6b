#pragma once

#include <sodium.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace sotto {

/// 64-byte aligned array of trivially copyable elements that is wiped when it is freed and cannot be copied.
template <class T>
class SecretArray {
 public:
  SecretArray() = default;
  explicit SecretArray(std::size_t size)
      : data_(static_cast<T*>(::operator new[](size * sizeof(T), std::align_val_t{64}))), size_(size) {
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
    if (data_ == nullptr) return;
    sodium_memzero(data_, size_ * sizeof(T));
    ::operator delete[](data_, std::align_val_t{64});
    data_ = nullptr;
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sotto
