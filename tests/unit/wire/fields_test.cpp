// Members of a header that are missing, of another type or out of range are refused by name.
#include "wire/fields.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "support/expect_error.h"

namespace sotto::wire {
namespace {

using nlohmann::json;
using test::refuses;

json parse(const char* value) { return json::parse(std::string(R"({"x":)") + value + "}"); }

TEST(Fields, MissingMembersAndThingsThatHaveNone) {
  EXPECT_TRUE(refuses([] { return field(json::object(), "x"); }, {"'x'"}));
  for (const char* text : {"[]", "7", "null", "\"x\"", "[{\"x\":1}]"})
    EXPECT_TRUE(refuses([&] { return integer(json::parse(text), "x", 0, 9); }, {"'x'"})) << text;
  EXPECT_EQ(field(parse("null"), "x"), nullptr);
}

TEST(Fields, IntegersInRangeOnly) {
  EXPECT_EQ(integer(parse("7"), "x", 7, 7), 7);
  EXPECT_EQ(integer(parse("-7"), "x", -7, 0), -7);
  EXPECT_EQ(integer(parse("9223372036854775807"), "x", 0, INT64_MAX), INT64_MAX);
  EXPECT_EQ(integer(parse("-9223372036854775808"), "x", INT64_MIN, 0), INT64_MIN);
  for (const char* text : {"6", "8", "-7", "7.0", "7e0", "\"7\"", "true", "null", "[7]", "{}", "9223372036854775808",
                           "18446744073709551615", "1e300"})
    EXPECT_TRUE(refuses([&] { return integer(parse(text), "x", 7, 7); }, {"'x'"})) << text;
  // Larger than any signed number: must not come back negative.
  EXPECT_TRUE(refuses([&] { return integer(parse("18446744073709551615"), "x", INT64_MIN, INT64_MAX); }));
}

TEST(Fields, SmallIntegersDoNotWrap) {
  EXPECT_EQ(small_integer(parse("-3"), "x", -5, 5), -3);
  for (const char* text : {"4294967296", "4294967299", "-4294967296", "6", "-6"})
    EXPECT_TRUE(refuses([&] { return small_integer(parse(text), "x", -5, 5); })) << text;
}

TEST(Fields, RealNumbersAreFinite) {
  EXPECT_EQ(real(parse("0.1"), "x"), 0.1);
  EXPECT_EQ(real(parse("-3"), "x"), -3.0);
  EXPECT_EQ(real(parse("18446744073709551615"), "x"), 0x1p64);
  for (const char* text : {"\"1\"", "true", "null", "[1]"})
    EXPECT_TRUE(refuses([&] { return real(parse(text), "x"); }, {"'x'"})) << text;
  for (double v : {HUGE_VAL, -HUGE_VAL, std::nan("")})
    EXPECT_TRUE(refuses([&] { return real(json{{"x", v}}, "x"); })) << v;
}

TEST(Fields, TextHasABound) {
  EXPECT_EQ(text(parse("\"caf\\u00e9\""), "x"), "caf\u00e9");
  EXPECT_EQ(text(parse("\"abc\""), "x", 3), "abc");
  EXPECT_TRUE(refuses([] { return text(parse("\"abcd\""), "x", 3); }, {"'x'"}));
  EXPECT_TRUE(refuses([] { return text(json{{"x", std::string(4097, 'a')}}, "x"); }));
  for (const char* value : {"1", "null", "[\"a\"]", "{}"})
    EXPECT_TRUE(refuses([&] { return text(parse(value), "x"); })) << value;
}

TEST(Fields, ListsAndTheirElements) {
  EXPECT_EQ(list(parse("[1,2]"), "x", 2).size(), 2u);
  EXPECT_TRUE(refuses([] { return list(parse("[1,2,3]"), "x", 2); }, {"'x'"}));
  EXPECT_TRUE(refuses([] { return list(parse("{\"0\":1}"), "x", 2); }));
  EXPECT_EQ(reals(parse("[1,-2.5]"), "x", 2), (std::vector<double>{1, -2.5}));
  EXPECT_EQ(reals(parse("[]"), "x", 0), std::vector<double>{});
  EXPECT_EQ(texts(parse("[\"a\",\"\"]"), "x", 2), (std::vector<std::string>{"a", ""}));
  for (const char* value : {"[1,\"2\"]", "[null]", "[[1]]", "7", "[true]", "[1,2,3,4]"}) {
    EXPECT_TRUE(refuses([&] { return reals(parse(value), "x", 3); }, {"'x'"})) << value;
    EXPECT_TRUE(refuses([&] { return texts(parse(value), "x", 3); }, {"'x'"})) << value;
  }
}

TEST(Fields, HexadecimalBytesOfExactLength) {
  EXPECT_EQ(hex_bytes(parse("\"00ff7f\""), "x", 3), (std::vector<unsigned char>{0, 255, 127}));
  for (const char* value : {"\"00ff7\"", "\"00ff7f00\"", "\"00ff7g\"", "\"00 f7f\"", "\"00:f7f\"", "\"\"", "7", "null"})
    EXPECT_TRUE(refuses([&] { return hex_bytes(parse(value), "x", 3); }, {"'x'"})) << value;
}

}  // namespace
}  // namespace sotto::wire
