// Residues as words of a few bytes.
#include "wire/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sotto::wire {
namespace {

constexpr std::uint64_t kModulus = (std::uint64_t{1} << 48) - 59;
constexpr std::size_t kWordBytes = word_bytes(48);

TEST(Pack, RoundTripOfRandomWords) {
  std::mt19937_64 rng(1);
  for (std::size_t n : {0, 1, 2, 7, 64, 1000}) {
    std::vector<std::uint64_t> words(n), back(n, ~std::uint64_t{0});
    for (auto& w : words) w = rng() % kModulus;
    if (n > 0) words.back() = kModulus - 1;
    // A guard behind the last word: nothing is written there.
    std::vector<unsigned char> bytes(n * kWordBytes + 8, 0xa5);
    pack_words(bytes.data(), words.data(), n, kWordBytes);
    EXPECT_TRUE(std::all_of(bytes.end() - 8, bytes.end(), [](unsigned char b) { return b == 0xa5; }));
    bytes.resize(n * kWordBytes);
    EXPECT_TRUE(unpack_words(back.data(), bytes.data(), n, kWordBytes, kModulus));
    EXPECT_EQ(back, words);
  }
}

TEST(Pack, LittleEndian) {
  const std::uint64_t word = 0x0605'0403'0201;
  unsigned char bytes[kWordBytes];
  pack_words(bytes, &word, 1, kWordBytes);
  for (unsigned i = 0; i < kWordBytes; ++i) EXPECT_EQ(bytes[i], i + 1);
}

TEST(Pack, WordsFromTheModulusOnAreRefusedAtEveryPlace) {
  constexpr std::size_t n = 20;
  std::vector<std::uint64_t> back(n);
  for (std::size_t at = 0; at < n; ++at) {
    for (std::uint64_t bad : {kModulus, kModulus + 1, (std::uint64_t{1} << 48) - 1}) {
      std::vector<std::uint64_t> words(n, kModulus - 1);
      words[at] = bad;
      std::vector<unsigned char> bytes(n * kWordBytes);
      pack_words(bytes.data(), words.data(), n, kWordBytes);
      EXPECT_FALSE(unpack_words(back.data(), bytes.data(), n, kWordBytes, kModulus)) << at;
      EXPECT_TRUE(unpack_words(back.data(), bytes.data(), n, kWordBytes, bad + 1));
    }
  }
}

}  // namespace
}  // namespace sotto::wire
