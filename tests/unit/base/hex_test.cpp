#include "base/hex.h"

#include <gtest/gtest.h>

#include <array>

namespace sotto {
namespace {

TEST(Hex, EveryByteAndBack) {
  std::array<unsigned char, 256> all{}, back{};
  for (std::size_t k = 0; k < all.size(); ++k) all[k] = static_cast<unsigned char>(k);
  const std::string digits = to_hex(all);
  EXPECT_EQ(digits.substr(0, 6), "000102");
  EXPECT_EQ(digits.substr(508), "feff");
  EXPECT_TRUE(from_hex(digits, back));
  EXPECT_EQ(back, all);
}

TEST(Hex, EitherCaseAndNothingElse) {
  std::array<unsigned char, 2> bytes{};
  EXPECT_TRUE(from_hex("aFF0", bytes));
  EXPECT_EQ(bytes, (std::array<unsigned char, 2>{0xaf, 0xf0}));
  for (const char* text :
       {"", "aff", "aff00", "aff0 ", " aff", "+1+2", "0xff", "agf0", "af:f", "/000", ":000", "@000", "G000", "`000"})
    EXPECT_FALSE(from_hex(text, bytes)) << text;
  EXPECT_TRUE(from_hex("", {}));
}

}  // namespace
}  // namespace sotto
