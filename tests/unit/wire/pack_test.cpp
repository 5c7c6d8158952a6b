// Residues as words of a few bytes.
#include "wire/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/error.h"

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

TEST(Pack, EveryWidth) {
  std::mt19937_64 rng(2);
  for (std::size_t width = 1; width <= 8; ++width) {
    // The largest modulus of the width, and one of half its bits.
    for (unsigned bits : {8 * static_cast<unsigned>(width), 4 * static_cast<unsigned>(width)}) {
      const std::uint64_t modulus = (~std::uint64_t{0} >> (64 - bits)) - 2;
      std::vector<std::uint64_t> words(37), back(37);
      for (auto& w : words) w = rng() % modulus;
      words[5] = modulus - 1;
      std::vector<unsigned char> bytes(37 * width + 8, 0xa5);
      pack_words(bytes.data(), words.data(), 37, width);
      for (std::size_t i = 0; i < 37; ++i)
        for (std::size_t k = 0; k < width; ++k)
          EXPECT_EQ(bytes[i * width + k], words[i] >> (8 * k) & 255) << width << " " << i;
      for (std::size_t i = 37 * width; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], 0xa5) << "behind the last word";
      bytes.resize(37 * width);  // nothing is read behind the last word
      bytes.shrink_to_fit();
      EXPECT_TRUE(unpack_words(back.data(), bytes.data(), 37, width, modulus));
      EXPECT_EQ(back, words);
      EXPECT_FALSE(unpack_words(back.data(), bytes.data(), 37, width, modulus - 1)) << width;
    }
  }
}

TEST(Pack, OtherWidthsAreRefused) {
  std::uint64_t word = 1;
  unsigned char bytes[16] = {};
  for (std::size_t width : {std::size_t{0}, std::size_t{9}, std::size_t{16}}) {
    EXPECT_THROW(pack_words(bytes, &word, 1, width), Error) << width;
    EXPECT_THROW((void)unpack_words(&word, bytes, 1, width, 2), Error) << width;
  }
}

TEST(Pack, BytesOfAModulus) {
  EXPECT_EQ(word_bytes(30), 4u);
  EXPECT_EQ(word_bytes(32), 4u);
  EXPECT_EQ(word_bytes(33), 5u);
  EXPECT_EQ(word_bytes(40), 5u);
  EXPECT_EQ(word_bytes(41), 6u);
  EXPECT_EQ(word_bytes(48), 6u);
}

}  // namespace
}  // namespace sotto::wire
