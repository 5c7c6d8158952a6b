#include "wire/pack.h"

#include <bit>
#include <cstring>

namespace sotto::wire {

static_assert(std::endian::native == std::endian::little, "files are little-endian, and so far the code is, too");

void pack48(unsigned char* dst, const std::uint64_t* src, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) std::memcpy(dst + kWordBytes * i, src + i, kWordBytes);
}

bool unpack48(std::uint64_t* dst, const unsigned char* src, std::size_t n, std::uint64_t modulus) {
  std::uint64_t bad = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t v = 0;
    std::memcpy(&v, src + kWordBytes * i, kWordBytes);
    dst[i] = v;
    bad |= static_cast<std::uint64_t>(v >= modulus);
  }
  return bad == 0;
}

}  // namespace sotto::wire
