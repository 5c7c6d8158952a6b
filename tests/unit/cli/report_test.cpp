// The report's page: figures that are missing, names from models, and that it needs nothing but itself.
#include <gtest/gtest.h>

#include "cli/evaluate_report.h"
#include "cli/report_text.h"
#include "support/files.h"
#include "support/markup.h"

namespace sotto::cli {
namespace {

using nlohmann::json;

const std::string kEvil = "<script>alert(\"1\")</script>'&\x01";

images::Image picture(int label, const std::string& name = "a.png") {
  return {name, label, 3, 2, 2, std::vector<std::uint8_t>(12, 200)};
}

class Report : public ::testing::Test {
 protected:
  std::string page(const json& report, const std::vector<images::Image>& images,
                   std::vector<std::string> classes = {"cat", "dog"}) {
    const client::Scores scores(images.size(), {0.1, 0.9}), plain(images.size(), {0.1, 0.8});
    plan::Interface io;
    io.classes = std::move(classes);
    write_html_report(folder_ / "r.html", report, images, scores, plain, std::vector<Doubt>(images.size(), Doubt::none),
                      io);
    return test::read_text(folder_ / "r.html");
  }

  static void expect_well_formed(const std::string& page) {
    // The tags that HTML leaves open.
    std::string text = page.substr(page.find("<body>"));
    text = text.substr(0, text.find("</html>"));
    for (const auto& tag : {"<br>", "<img [^>]*>"}) text = std::regex_replace(text, std::regex(tag), "");
    EXPECT_EQ(test::unbalanced(text), "");
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("nan"), std::string::npos);
    EXPECT_TRUE(test::found(page, "(https?:|url\\(|(src|href)=\"(?!data:))").empty());
  }

 private:
  test::TempFolder folder_;
};

TEST_F(Report, NothingIsKnown) {
  for (const json& report :
       {json::object(), json{{"network", nullptr}, {"accuracy", nullptr}, {"steps", json::array()}},
        json{{"steps", {json::object(), {{"name", 7}, {"seconds", nullptr}, {"output", json::array()}}}}}}) {
    const std::string text = page(report, {picture(-1)});
    expect_well_formed(text);
    EXPECT_NE(text.find("unknown"), std::string::npos);
    EXPECT_EQ(text.find("True classes"), std::string::npos);
  }
}

TEST_F(Report, NamesCannotBreakOut) {
  const json step = {{"name", kEvil}, {"output", {1, 2, 3}}, {"seconds", 1.0}, {"rotate_seconds", 0.25}};
  const std::string text = page({{"network", kEvil}, {"cpu_kernels", kEvil}, {"ring", kEvil}, {"steps", {step, step}}},
                                {picture(0, kEvil), picture(1)}, {kEvil, kEvil + "2"});
  expect_well_formed(text);
  EXPECT_NE(text.find("&lt;script&gt;"), std::string::npos);
}

TEST_F(Report, LabelsAndImages) {
  std::vector<images::Image> images(150, picture(1));
  images.resize(250, picture(0));
  const std::string text = page({{"accuracy", 0.6}, {"images", 250}, {"correct", 150}}, images);
  expect_well_formed(text);
  EXPECT_NE(text.find("cat as dog: 100"), std::string::npos);
  EXPECT_NE(text.find("dog as dog: 150"), std::string::npos);
  EXPECT_NE(text.find("60.00 %"), std::string::npos);
  EXPECT_EQ(test::found(text, "<figure>").size(), 200u);
  EXPECT_EQ(test::found(text, "class=\"wrong\"").size(), 50u);
}

TEST(ReportText, NumbersForReaders) {
  const json j = {{"n", 65536}, {"none", nullptr}, {"text", "a"}};
  EXPECT_EQ(whole(number(j, "n")), "65,536");
  EXPECT_EQ(whole(999), "999");
  EXPECT_EQ(whole(-1234567), "-1,234,567");
  EXPECT_EQ(whole(-123), "-123");
  for (const char* name : {"none", "text", "missing"}) {
    EXPECT_EQ(whole(number(j, name)), "unknown");
    EXPECT_EQ(percent(number(j, name)), "unknown");
    EXPECT_EQ(bytes(number(j, name)), "unknown");
  }
  EXPECT_EQ(words(j, "text"), "a");
  EXPECT_EQ(words(j, "n"), "unknown");
}

}  // namespace
}  // namespace sotto::cli
