// The report's page: figures that are missing, names from models, and that it needs nothing but itself.
#include "report/page.h"

#include <gtest/gtest.h>

#include <cmath>

#include "report/text.h"
#include "support/files.h"
#include "support/markup.h"

namespace sotto::report {
namespace {

const std::string kEvil = "<script>alert(\"1\")</script>'&\x01";

images::Image picture(int label, const std::string& name = "a.png") {
  return {name, label, 3, 2, 2, std::vector<std::uint8_t>(12, 200)};
}

class Report : public ::testing::Test {
 protected:
  std::string page(const Evaluation& evaluation, const std::vector<images::Image>& images,
                   std::vector<std::string> classes = {"cat", "dog"}) {
    const client::Scores scores(images.size(), {0.1, 0.9}), plain(images.size(), {0.1, 0.8});
    plan::Interface io;
    io.classes = std::move(classes);
    write_page(folder_ / "r.html", evaluation, images, scores, plain, std::vector<Doubt>(images.size(), Doubt::none),
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
  Evaluation layers;
  layers.layers.resize(2);
  for (const Evaluation& e : {Evaluation{}, layers}) {
    const std::string text = page(e, {picture(-1)});
    expect_well_formed(text);
    EXPECT_NE(text.find("unknown"), std::string::npos);
    EXPECT_EQ(text.find("True classes"), std::string::npos);
  }
}

TEST_F(Report, NamesCannotBreakOut) {
  Evaluation e;
  e.network = e.cpu_kernels = e.ring = kEvil;
  e.layers.resize(2, {.name = kEvil, .channels = 1, .height = 2, .width = 3, .rotate_seconds = 0.25});
  const std::string text = page(e, {picture(0, kEvil), picture(1)}, {kEvil, kEvil + "2"});
  expect_well_formed(text);
  EXPECT_NE(text.find("&lt;script&gt;"), std::string::npos);
}

TEST_F(Report, LabelsAndImages) {
  std::vector<images::Image> images(150, picture(1));
  images.resize(250, picture(0));
  Evaluation e;
  e.images = e.labelled = 250;
  e.correct = 150;
  const std::string text = page(e, images);
  expect_well_formed(text);
  EXPECT_NE(text.find("cat as dog: 100"), std::string::npos);
  EXPECT_NE(text.find("dog as dog: 150"), std::string::npos);
  EXPECT_NE(text.find("60.00 %"), std::string::npos);
  EXPECT_EQ(test::found(text, "<figure>").size(), 200u);
  EXPECT_EQ(test::found(text, "class=\"wrong\"").size(), 50u);
}

TEST(Evaluation, FiguresOfAllParts) {
  Evaluation e;
  EXPECT_EQ(to_json(e)["accuracy"], nullptr) << "no true labels";
  EXPECT_EQ(to_json(e)["certain_label_agreement"], nullptr);
  e.images = 12;
  e.labelled = 8;
  e.correct = 6;
  e.agree = 9;
  e.certain = 4;
  e.certain_agree = 4;
  e.parts = {{.images = 8, .batches = 2, .wall_seconds = 3, .peak_rss_bytes = 50, .eval_key_bytes = 7},
             {.images = 4, .batches = 1, .wall_seconds = 6, .peak_rss_bytes = 40, .eval_key_bytes = 2}};
  e.layers = {{.name = "a", .rotate_seconds = 1, .linear_seconds = 2, .activate_seconds = 4, .disk_seconds = 8}};
  const nlohmann::json j = to_json(e);
  EXPECT_EQ(j["accuracy"], 0.75);
  EXPECT_EQ(j["label_agreement"], 0.75);
  EXPECT_EQ(j["certain_label_agreement"], 1.0);
  EXPECT_EQ(j["batches"], 3);
  EXPECT_EQ(j["wall_seconds"], 9.0);
  EXPECT_EQ(j["amortized_seconds_per_image"], 0.75);
  EXPECT_EQ(j["peak_rss_bytes"], 50);
  EXPECT_EQ(j["eval_key_bytes"], 9);
  EXPECT_EQ(j["steps"][0]["seconds"], 15.0);
  EXPECT_EQ(j["parts"].size(), 2u);
}

TEST(ReportText, NumbersForReaders) {
  EXPECT_EQ(whole(65536), "65,536");
  EXPECT_EQ(whole(999), "999");
  EXPECT_EQ(whole(-1234567), "-1,234,567");
  EXPECT_EQ(whole(-123), "-123");
  EXPECT_EQ(percent(0.6), "60.00 %");
  EXPECT_EQ(percent(std::nullopt), "unknown");
  EXPECT_EQ(fixed(NAN, 2), "unknown");
  EXPECT_EQ(brief(HUGE_VAL), "unknown");
}

}  // namespace
}  // namespace sotto::report
