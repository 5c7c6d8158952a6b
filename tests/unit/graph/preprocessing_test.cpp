// What the import says of pixels: units of the metadata, inputs of integers, and notes where nothing is stated.
#include <gtest/gtest.h>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"
#include "support/values.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Values = std::vector<double>;

// Divides its input by 255.
struct Model : OnnxBuilder {
  Model(const std::string& mean, const std::string& std, int type = onnx::TensorProto::FLOAT)
      : OnnxBuilder({-1, 2, 1, 1}) {
    graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(type);
    if (!mean.empty()) metadata("sotto.mean", mean);
    if (!std.empty()) metadata("sotto.std", std);
    set(node("Cast", {"x"}, "float"), "to", onnx::TensorProto::FLOAT);
    constant("k", {}, {255});
    node("Div", {"float", "k"}, "scaled");
    node("Flatten", {"scaled"}, "y");
  }
};

bool noted(const Network& n, const std::string& words) {
  for (const std::string& note : n.notes)
    if (note.find(words) != std::string::npos) return true;
  return false;
}

TEST(Preprocessing, UnitsThatOnlyRawPixelsCanHaveAreRefused) {
  const std::pair<const char*, const char*> cases[] = {{"125.3,123", "0.5,0.5"},
                                                       {"0.5,0.5", "63,62.1"},
                                                       {"0.5,127.5", "0.5,0.5"},
                                                       {"1.51,0", "1,1"},
                                                       {"-0.51,0", "1,1"},
                                                       {"0,0", "4.1,1"},
                                                       {"125.3", ""},
                                                       {"", "63"}};
  for (const auto& [mean, std] : cases)
    EXPECT_TRUE(refuses([&, m = mean, s = std] { Model(m, s).import(); }, {"sotto.", "divide mean and std by 255"}))
        << mean << " " << std;
}

TEST(Preprocessing, WhatNetworksAreFedIsNot) {
  const std::pair<const char*, const char*> cases[] = {
      {"0.5,0.5", "0.5,0.5"},                  // [-1, 1]
      {"0,0", "0.00392156862745098,0.0039"},   // raw pixels
      {"0.485,0.456", "0.0039215,0.0039215"},  // raw pixels less their mean
      {"0,0", "1,1"},
      {"0.4914,0.4822", "0.2470,0.2435"},
      {"1,0", "1,1"},  // [-1, 0]
      {"-0.5,1.5", "4,2"}};
  for (const auto& [mean, std] : cases) EXPECT_NO_THROW(Model(mean, std).import()) << mean << " " << std;
}

TEST(Preprocessing, OneNumberForAllChannels) {
  const Network n = Model("0.5", "0.25").import();
  EXPECT_EQ(n.mean, (Values{0.5, 0.5}));
  EXPECT_EQ(n.std, (Values{0.25, 0.25}));
}

TEST(Preprocessing, MissingMetadataAreMentioned) {
  EXPECT_TRUE(noted(Model("", "").import(), "states no preprocessing"));
  EXPECT_TRUE(noted(Model("0,0", "").import(), "states no std"));
  EXPECT_TRUE(noted(Model("", "1,1").import(), "states no mean"));
  EXPECT_TRUE(noted(Model("", "").import(), "add_metadata.py"));
  EXPECT_FALSE(noted(Model("0,0", "1,1").import(), "states no"));
}

TEST(Preprocessing, NetworksThatScaleRawPixelsAreMentioned) {
  EXPECT_TRUE(noted(Model("0,0", "1,1").import(), "as if it were pixels of 0..255"));
  EXPECT_TRUE(noted(Model("", "").import(), "as if it were pixels of 0..255"));
  EXPECT_TRUE(Model("0,0", "0.00392156862745098,0.00392156862745098").import().notes.empty());
  OnnxBuilder m({-1, 2, 1, 1});
  m.constant("mean", {2, 1, 1}, {0.5, 0.4});
  m.constant("std", {}, {0.25});
  m.node("Sub", {"x", "mean"}, "a");
  m.node("Div", {"a", "std"}, "b");
  m.node("Flatten", {"b"}, "y");
  EXPECT_FALSE(noted(m.import(), "as if it were")) << "that is normalisation of pixels in [0, 1]";
}

TEST(Preprocessing, IntegersAreRawPixels) {
  for (const int type : {onnx::TensorProto::UINT8, onnx::TensorProto::INT32, onnx::TensorProto::INT64}) {
    const Network n = Model("", "", type).import();
    EXPECT_EQ(n.mean, (Values{0, 0}));
    EXPECT_EQ(n.std, (Values{1.0 / 255, 1.0 / 255}));
    EXPECT_TRUE(noted(n, "pixels are fed as 0..255"));
    EXPECT_FALSE(noted(n, "as if it were"));
    // As the pipeline feeds a pixel of 51.
    const double value = (51.0 / 255 - n.mean[0]) / n.std[0];
    EXPECT_LT(test::relative_error(evaluate(n, Values{value, value}), Values{0.2, 0.2}), 1e-12);
  }
}

TEST(Preprocessing, IntegersAllowNoOtherPreprocessing) {
  EXPECT_NO_THROW(Model("0", "0.0039215686", onnx::TensorProto::UINT8).import());
  for (const auto& [mean, std] :
       {std::pair("0", "1"), std::pair("0.5", "0.5"), std::pair("0.5", ""), std::pair("", "1")})
    EXPECT_TRUE(refuses([&, m = mean, s = std] { Model(m, s, onnx::TensorProto::UINT8).import(); },
                        {"integers", "leave them out"}))
        << mean << " " << std;
}

TEST(Preprocessing, ArithmeticOnIntegersIsRefused) {
  OnnxBuilder m;
  m.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::UINT8);
  m.constant("k", {}, {2});
  m.node("Div", {"x", "k"}, "a");
  m.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Div_a", "cast the input to float"}));
}

}  // namespace
}  // namespace sotto::graph
