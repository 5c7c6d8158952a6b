#include "ckks/sampler.h"

#include <sodium.h>

#include <bit>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace sotto::ckks {

Seed random_seed() {
  check(sodium_init() >= 0, "libsodium does not start");
  Seed seed;
  randombytes_buf(seed.data(), seed.size());
  return seed;
}

void expand_uniform(const ring::Ring& ring, const Seed& seed, std::uint64_t stream, std::size_t i, std::uint64_t* dst) {
  static_assert(crypto_stream_xchacha20_KEYBYTES == 32 && crypto_stream_xchacha20_NONCEBYTES == 24);
  const std::uint64_t q = ring.prime(i);
  const std::uint64_t mask = (std::uint64_t{1} << std::bit_width(q)) - 1;
  constexpr std::size_t kWordBytes = 6, kChunkWords = 8192;
  unsigned char nonce[24] = {'S', 'o', 't', 't', 'o'};
  auto put = [&](std::uint64_t v, std::size_t at) {
    for (std::size_t b = 0; b < 8; ++b) nonce[at + b] = static_cast<unsigned char>(v >> (8 * b));
  };
  put(stream, 8);
  put(q, 16);
  std::vector<unsigned char> bytes(kChunkWords * kWordBytes + 8);
  std::size_t filled = 0;
  for (std::uint64_t block = 0; filled < ring.n(); ++block) {
    // Chunks are whole 64-byte blocks of the key stream, so they continue each other.
    std::memset(bytes.data(), 0, kChunkWords * kWordBytes);
    crypto_stream_xchacha20_xor_ic(bytes.data(), bytes.data(), kChunkWords * kWordBytes, nonce,
                                   block * (kChunkWords * kWordBytes / 64), seed.data());
    for (std::size_t w = 0; w < kChunkWords && filled < ring.n(); ++w) {
      std::uint64_t v = 0;
      std::memcpy(&v, bytes.data() + w * kWordBytes, 8);
      v &= mask & 0xffffffffffffull;
      if (v < q) dst[filled++] = v;
    }
  }
}

}  // namespace sotto::ckks
