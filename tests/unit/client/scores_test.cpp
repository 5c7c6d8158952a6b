// Scores in the files that other programs read.
#include "client/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "support/files.h"

namespace sotto::client {
namespace {

TEST(Argmax, TheFirstOfTheLargest) {
  EXPECT_EQ(argmax({1, 3, 2}), 1);
  EXPECT_EQ(argmax({-5, -2, -2}), 1);
  EXPECT_EQ(argmax({7}), 0);
  EXPECT_EQ(argmax({1, std::nan(""), 3}), -1);
}

TEST(Confidence, IsTheSoftmax) {
  const std::vector<double> scores = {1, 2, -0.5};
  const double sum = std::exp(1) + std::exp(2) + std::exp(-0.5);
  for (int c = 0; c < 3; ++c)
    EXPECT_NEAR(confidence(scores, c), std::exp(scores[static_cast<std::size_t>(c)]) / sum, 1e-15);
  EXPECT_DOUBLE_EQ(confidence({3, 3}, 0), 0.5);
  // Large scores must not overflow.
  EXPECT_NEAR(confidence({1e5, 1e5 - std::log(3)}, 0), 0.75, 1e-9);
  EXPECT_EQ(confidence({-1e5, 1e5}, 0), 0);
}

TEST(ClassName, OrItsNumber) {
  plan::Interface io;
  EXPECT_EQ(class_name(io, 3), "3");
  io.classes = {"cat", "dog"};
  EXPECT_EQ(class_name(io, 1), "dog");
  EXPECT_EQ(class_name(io, 2), "2");
  EXPECT_EQ(class_name(io, -1), "");
}

// Reads NumPy format 1.0 by its specification.
Scores read_npy(const std::filesystem::path& path, std::string& header) {
  const test::Bytes b = test::read_bytes(path);
  EXPECT_EQ(std::string(b.begin(), b.begin() + 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t length = b.at(8) + 256u * b.at(9), data = 10 + length;
  header.assign(b.begin() + 10, b.begin() + static_cast<std::ptrdiff_t>(data));
  EXPECT_EQ(data % 64, 0u);
  EXPECT_EQ(header.back(), '\n');
  std::size_t rows = 0, columns = 0;
  EXPECT_EQ(
      std::sscanf(header.c_str(), "{'descr': '<f8', 'fortran_order': False, 'shape': (%zu, %zu), }", &rows, &columns),
      2)
      << header;
  EXPECT_EQ(b.size(), data + rows * columns * sizeof(double));
  Scores out(rows, std::vector<double>(columns));
  for (std::size_t r = 0; r < rows && columns > 0; ++r)
    std::memcpy(out[r].data(), b.data() + data + r * columns * sizeof(double), columns * sizeof(double));
  return out;
}

TEST(Npy, ReadsBack) {
  const test::TempFolder folder;
  std::string header;
  const Scores scores = {{1, -2.5, 1e-300}, {0.1, 1e300, -0.0}};
  write_npy(folder / "s.npy", scores);
  EXPECT_EQ(read_npy(folder / "s.npy", header), scores);
  EXPECT_EQ(header.find('\n'), header.size() - 1);
  for (std::size_t rows : {std::size_t{1}, std::size_t{999}, std::size_t{10000}}) {  // headers of other lengths
    const Scores other(rows, {2.0});
    write_npy(folder / "s.npy", other);
    EXPECT_EQ(read_npy(folder / "s.npy", header), other) << rows;
  }
  write_npy(folder / "s.npy", {});
  EXPECT_TRUE(read_npy(folder / "s.npy", header).empty());
}

// Splits CSV by RFC 4180.
std::vector<std::vector<std::string>> read_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string& field = rows.back().back();
    if (quoted) {
      if (text[i] != '"')
        field += text[i];
      else if (i + 1 < text.size() && text[i + 1] == '"')
        field += text[++i];
      else
        quoted = false;
    } else if (text[i] == '"' && field.empty())
      quoted = true;
    else if (text[i] == ',')
      rows.back().emplace_back();
    else if (text[i] == '\n')
      rows.push_back({""});
    else
      field += text[i];
  }
  rows.pop_back();
  return rows;
}

TEST(Csv, EveryFieldComesBack) {
  const test::TempFolder folder;
  plan::Interface io;
  io.classes = {"cat", "dog, big", "a \"quoted\" one"};
  const std::string name = "comma,\"x\".png";
  const std::vector<images::Image> images = {
      {name, 2, 3, 1, 1, {}}, {"plain.png", -1, 3, 1, 1, {}}, {"lost", 0, 3, 1, 1, {}}};
  const double none = std::nan("");
  write_csv(folder / "s.csv", {{0, 1, 0.5}, {2, 2, 3.25}, {none, none, none}},
            {Doubt::none, Doubt::range, Doubt::spoiled}, images, io);
  const auto rows = read_csv(test::read_text(folder / "s.csv"));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"index", "name", "label", "class", "confidence", "score", "true_label",
                                               "true_class", "doubtful"}));
  EXPECT_EQ(rows[1],
            (std::vector<std::string>{"0", name, "1", "dog, big", "0.5065", "1.000000", "2", "a \"quoted\" one", ""}));
  EXPECT_EQ(rows[2], (std::vector<std::string>{"1", "plain.png", "2", "a \"quoted\" one", "0.6357", "3.250000", "", "",
                                               "left the range"}));
  EXPECT_EQ(rows[3], (std::vector<std::string>{"2", "lost", "", "", "", "", "0", "cat", "batch spoiled"}));
}

// A table program would compute what begins like a formula.
TEST(Csv, CellsAreNoFormulas) {
  const test::TempFolder folder;
  plan::Interface io;
  io.classes = {"=HYPERLINK(\"x\")", "-dog"};
  const std::vector<images::Image> images = {{"@name", 1, 3, 1, 1, {}}, {"+1", 0, 3, 1, 1, {}}};
  write_csv(folder / "s.csv", {{1, 0}, {0, -1}}, {Doubt::none, Doubt::none}, images, io);
  const auto rows = read_csv(test::read_text(folder / "s.csv"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1][1], "'@name");
  EXPECT_EQ(rows[1][3], "'=HYPERLINK(\"x\")");
  EXPECT_EQ(rows[1][7], "'-dog");
  EXPECT_EQ(rows[2][1], "'+1");
  EXPECT_EQ(rows[2][5], "0.000000") << "numbers stay numbers";
}

// A table is looked at on a terminal, too (--csv -).
TEST(Csv, NamesDoNotControlTerminals) {
  const test::TempFolder folder;
  const std::vector<images::Image> images = {{"a\x1b[2Jb\x9b\nc", 1, 3, 1, 1, {}}};
  write_csv(folder / "s.csv", {{1, 0}}, {Doubt::none}, images, {});
  EXPECT_EQ(read_csv(test::read_text(folder / "s.csv")).at(1).at(1), "a?[2Jb??c");
}

TEST(Csv, WithoutImagesAndNames) {
  const test::TempFolder folder;
  write_csv(folder / "s.csv", {{5, 1}}, {Doubt::none}, {}, {});
  const auto rows = read_csv(test::read_text(folder / "s.csv"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1], (std::vector<std::string>{"0", "", "0", "0", "0.9820", "5.000000", "", "", ""}));
}

}  // namespace
}  // namespace sotto::client
