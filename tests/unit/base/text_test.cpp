#include "base/text.h"

#include <gtest/gtest.h>

namespace sotto {
namespace {

TEST(ReadableText, ControlCharacters) {
  EXPECT_EQ(readable_text("a\x1b[2Jb\n\x7f"), "a?[2Jb??");
  EXPECT_EQ(readable_text("\xc2\x9b"
                          "31m"),
            "??31m");
  EXPECT_EQ(readable_text("\xc3\xa9t\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88"),
            "\xc3\xa9t\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88");
}

// They show a text in another order than it has: "cat" as "tac", behind which the true end of a line may hide.
TEST(ReadableText, CharactersThatTurnTheDirectionOfWriting) {
  for (const char* turn :
       {"\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"})
    EXPECT_EQ(readable_text(std::string("a") + turn + "b" + turn), "a?b?") << turn;
  for (const char* harmless : {"\u200d", "\u2010", "\u2029", "\u202f", "\u2065", "\u206a", "\u05d0", "\u0627"})
    EXPECT_EQ(readable_text(std::string("a") + harmless + "b"), std::string("a") + harmless + "b") << harmless;
  EXPECT_EQ(quoted({"cat\u202e"}), "'cat?'");
}

}  // namespace
}  // namespace sotto
