// Uniform polynomials as docs/formats/ciphertexts.md has them, from the whole key stream at once.
#include "ckks/sampler.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <vector>

namespace sotto::ckks {
namespace {

using u64 = std::uint64_t;

std::vector<u64> by_the_format(const Seed& seed, u64 stream, u64 q, std::size_t n) {
  std::vector<unsigned char> nonce = {'S', 'o', 't', 't', 'o', 0, 0, 0};
  for (const u64 x : {stream, q})
    for (int b = 0; b < 64; b += 8) nonce.push_back(static_cast<unsigned char>(x >> b));
  std::vector<unsigned char> bytes(6 * 4 * n);
  crypto_stream_xchacha20(bytes.data(), bytes.size(), nonce.data(), seed.data());
  u64 top = 1;
  while (top <= q) top *= 2;
  std::vector<u64> words;
  for (std::size_t at = 0; words.size() < n && at < bytes.size(); at += 6) {
    u64 piece = 0;
    for (std::size_t b = 6; b-- > 0;) piece = piece * 256 + bytes[at + b];
    if (piece % top < q) words.push_back(piece % top);
  }
  return words;
}

TEST(Sampler, UniformPolynomialsAreThoseOfTheFormat) {
  // Of primes just above a power of two nearly half of all pieces are skipped.
  for (const u64 q : {281474975662081ull, 537133057ull, 1179649ull})
    for (const int log_n : {6, 13, 15}) {
      const ring::Ring ring(log_n, ring::RingKind::standard, {65537, q}, simd::scalar_kernels());
      std::vector<u64> words(ring.n());
      for (const u64 stream : {u64{0}, u64{1}, u64{0x0102030405060708}}) {
        const Seed seed = random_seed();
        expand_uniform(ring, seed, stream, 1, words.data());
        ASSERT_EQ(words, by_the_format(seed, stream, q, ring.n())) << q << " " << log_n << " " << stream;
      }
    }
}

TEST(Sampler, SeedsAreFresh) {
  const Seed a = random_seed(), b = random_seed();
  std::size_t equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  EXPECT_LT(equal, 8u);
}

}  // namespace
}  // namespace sotto::ckks
