#include "wire/pack.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace sotto::wire {

static_assert(std::endian::native == std::endian::little, "files are little-endian, and so far the code is, too");

namespace {

// Calls f with the width as a constant, for which copies become single instructions.
template <class F, std::size_t... I>
void with_width(std::size_t width, F&& f, std::index_sequence<I...>) {
  check(width >= 1 && width <= sizeof...(I), "words have 1 to 8 bytes");
  ((width == I + 1 ? f(std::integral_constant<std::size_t, I + 1>()) : void()), ...);
}

}  // namespace

void pack_words(unsigned char* dst, const std::uint64_t* src, std::size_t n, std::size_t width) {
  with_width(
      width,
      [&](auto w) {
        for (std::size_t i = 0; i < n; ++i) std::memcpy(dst + w * i, src + i, w);
      },
      std::make_index_sequence<8>());
}

bool unpack_words(std::uint64_t* dst, const unsigned char* src, std::size_t n, std::size_t width,
                  std::uint64_t modulus) {
  std::uint64_t bad = 0;
  with_width(
      width,
      [&](auto w) {
        for (std::size_t i = 0; i < n; ++i) {
          std::uint64_t v = 0;
          std::memcpy(&v, src + w * i, w);
          dst[i] = v;
          bad |= static_cast<std::uint64_t>(v >= modulus);
        }
      },
      std::make_index_sequence<8>());
  return bad == 0;
}

}  // namespace sotto::wire
