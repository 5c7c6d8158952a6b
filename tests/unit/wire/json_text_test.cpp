// JSON is counted before it takes memory.
#include "wire/json_text.h"

#include <gtest/gtest.h>

#include <string>

namespace sotto::wire {
namespace {

bool fits_in(const std::string& text, const JsonLimits& limits) {
  const bool fit = fits(text, limits);
  EXPECT_EQ(fit, !parse_json(text, limits).is_discarded()) << text;
  return fit;
}

TEST(JsonText, EveryLimitHolds) {
  const std::string text = R"({"a": [1, -2, 3.5, true, null], "b": "text"})";
  EXPECT_TRUE(fits_in(text, {100, 8, 5, 2}));
  EXPECT_FALSE(fits_in(text, {text.size() - 1, 8, 5, 2}));
  EXPECT_FALSE(fits_in(text, {100, 7, 5, 2}));
  EXPECT_FALSE(fits_in(text, {100, 8, 4, 2}));
  EXPECT_FALSE(fits_in(text, {100, 8, 5, 1}));
  EXPECT_EQ(parse_json(text, {100, 8, 5, 2})["a"][2], 3.5);
}

TEST(JsonText, WhatIsNoJsonFitsNowhere) {
  for (const char* text : {"", "{", "[1,]", "nul", "{\"a\"}", "\xff", "1 2"})
    EXPECT_FALSE(fits_in(text, {1000, 1000, 1000, 10})) << text;
}

TEST(JsonText, DepthIsCountedNotNesting) {
  EXPECT_TRUE(fits_in("[[],[],[],[]]", {100, 100, 100, 2}));
  EXPECT_FALSE(fits_in("[[[]]]", {100, 100, 100, 2}));
}

}  // namespace
}  // namespace sotto::wire
