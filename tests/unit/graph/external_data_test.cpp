// Tensors in files beside the model: read where they belong, refused everywhere else.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;

class ExternalTensor : public ::testing::Test {
 protected:
  ExternalTensor() {
    const float data[] = {9, 1.5, -2, 9};
    test::write_text(m.folder / "weights.data", std::string(reinterpret_cast<const char*>(data), sizeof data));
    tensor = &m.constant("k", {2, 1, 1}, {});
    tensor->set_data_location(onnx::TensorProto::EXTERNAL);
    m.node("Mul", {"x", "k"}, "a");
    m.node("Flatten", {"a"}, "y");
  }
  void at(const std::string& location, const std::string& offset, const std::string& length) {
    tensor->clear_external_data();
    for (const auto& [key, value] :
         {std::pair("location", location), std::pair("offset", offset), std::pair("length", length)}) {
      if (value.empty()) continue;
      auto* entry = tensor->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
  }
  [[nodiscard]] std::vector<double> result() const { return evaluate(m.import(), std::vector<double>{1, 1}); }

  OnnxBuilder m{{1, 2, 1, 1}};
  onnx::TensorProto* tensor;
};

TEST_F(ExternalTensor, IsReadFromItsPlace) {
  at("weights.data", "4", "8");
  EXPECT_EQ(result(), (std::vector<double>{1.5, -2}));
  at("./weights.data", "4", "8");
  EXPECT_EQ(result(), (std::vector<double>{1.5, -2}));
  at("weights.data", "8", "");
  EXPECT_EQ(result(), (std::vector<double>{-2, 9}));
}

TEST_F(ExternalTensor, IsReadFromTheFolderThatTheModelIsIn) {
  at("weights.data", "4", "8");
  test::write_text(m.folder / "model.onnx", m.model.SerializeAsString());
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(m.folder.path());
  EXPECT_NO_THROW(import_onnx("model.onnx"));
  std::filesystem::current_path(before);
}

TEST_F(ExternalTensor, OtherPlacesAreRefused) {
  const auto outside = m.folder.path().parent_path() / (m.folder.path().filename().string() + ".outside");
  std::filesystem::copy_file(m.folder / "weights.data", outside);
  std::filesystem::create_symlink(outside, m.folder / "link");
  std::filesystem::create_directory(m.folder / "inner");
  std::filesystem::copy_file(m.folder / "weights.data", m.folder / "inner/weights.data");
  for (const std::string& place :
       {outside.string(), "../" + outside.filename().string(), std::string("inner/weights.data"), std::string("inner"),
        std::string("link"), std::string(".."), std::string("."), std::string("/dev/zero"), std::string("nowhere"),
        std::string()}) {
    at(place, "4", "8");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"'k'"})) << place;
  }
  std::filesystem::remove(outside);
}

TEST_F(ExternalTensor, BytesThatAreNotThereAreRefused) {
  const std::pair<const char*, const char*> cases[] = {{"12", "8"},
                                                       {"17", ""},
                                                       {"0", "17"},
                                                       {"4", "4"},
                                                       {"0", ""},
                                                       {"-4", "8"},
                                                       {"4", "-8"},
                                                       {"x", "8"},
                                                       {"4", "8x"},
                                                       {"18446744073709551612", "8"},
                                                       {"4", "18446744073709551615"},
                                                       {"99999999999999999999", "8"}};
  for (const auto& [offset, length] : cases) {
    at("weights.data", offset, length);
    EXPECT_TRUE(refuses([&] { m.import(); }, {"'k'"})) << offset << " " << length;
  }
}

TEST_F(ExternalTensor, WhatIsNotNeededIsNotRead) {
  at("nowhere", "", "");
  m.graph().mutable_node(0)->set_op_type("Neg");
  m.graph().mutable_node(0)->mutable_input()->RemoveLast();
  EXPECT_EQ(result(), (std::vector<double>{-1, -1}));
}

}  // namespace
}  // namespace sotto::graph
