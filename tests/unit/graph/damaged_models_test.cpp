// Files that are no models, cut models and thousands of damaged ones: an error of one line, never a crash or a giant
// allocation.
#include <gtest/gtest.h>

#include <new>

#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/golden.h"

namespace sotto::graph {
namespace {

using test::Bytes;

class DamagedModels : public ::testing::TestWithParam<const char*> {
 protected:
  // Imports bytes as a model; whatever comes out must be an Error{bad_input} or a network that can be evaluated.
  // Returns whether it was imported.
  bool survives(const Bytes& bytes) {
    test::write_bytes(path, bytes);
    try {
      const Network n = import_onnx(path);
      double work = 0;
      for (const Node& node : n.nodes) {
        double each = 1;
        if (const auto* c = std::get_if<Conv2d>(&node.op)) each = static_cast<double>(c->weights.size()) / c->out_c;
        if (const auto* p = std::get_if<AveragePool>(&node.op)) each = static_cast<double>(p->kernel_h) * p->kernel_w;
        if (const auto* d = std::get_if<Dense>(&node.op)) each = d->in;
        work += each * static_cast<double>(node.shape.size());
      }
      // A model may be larger than its damage let it be before; evaluating it is then no test of the import.
      if (work > 1e6) return true;
      EXPECT_EQ(evaluate(n, std::vector<double>(n.input_shape().size(), 0.5)).size(), n.output_shape().size());
      return true;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::bad_input) << e.what();
      EXPECT_NE(std::string(e.what()).find(path.string()), std::string::npos) << e.what();
    }
    return false;
  }
  [[nodiscard]] Bytes model() const { return test::read_bytes(test::kGoldenFolder + GetParam() + ".onnx"); }

  test::TempFolder folder;
  std::filesystem::path path = folder / "model.onnx";
};

TEST_P(DamagedModels, RandomEdits) {
  std::mt19937_64 rng(1);
  const Bytes original = model();
  ASSERT_TRUE(survives(original));
  int imported = 0;
  for (int i = 0; i < 3000; ++i) {
    ASSERT_NO_THROW(imported += survives(test::mutate(original, rng))) << i;
    ASSERT_FALSE(HasFailure()) << i;
  }
  // Damage of names and weights goes unnoticed, damage of the structure does not: both happened.
  EXPECT_GT(imported, 100);
  EXPECT_LT(imported, 2900);
}

TEST_P(DamagedModels, EveryTruncation) {
  const Bytes original = model();
  int imported = 0;
  for (std::size_t length = 0; length < original.size(); ++length)
    ASSERT_NO_THROW(imported +=
                    survives(Bytes(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(length))))
        << length;
  // The end of an ONNX file says where the operator set is: nothing can be imported without it. Metadata come behind it
  // and can be lost.
  EXPECT_EQ(imported, GetParam() == std::string("relus") ? 1 : 0);
}

INSTANTIATE_TEST_SUITE_P(Models, DamagedModels,
                         ::testing::Values("conv_groups", "constants_and_broadcast", "average_pool_counting_pads",
                                           "pooled_network", "relus", "computed_constants",
                                           "flatten_by_computed_shapes", "channels_shuffled_split_and_joined",
                                           "shortcuts_of_slices_and_zeros", "zero_pads", "raw_pixels"),
                         [](const auto& m) { return std::string(m.param); });

TEST(NoModels, TheLimitOnAllocationsIsInForce) {
  EXPECT_THROW(std::vector<char>(std::size_t{1} << 29), std::bad_alloc);
}

TEST(NoModels, FilesOfAnotherKind) {
  const test::TempFolder folder;
  const auto path = folder / "model.onnx";
  const auto import = [&] { import_onnx(path); };
  EXPECT_TRUE(test::refuses(import, {path.string(), "cannot read"})) << "no file";
  test::write_text(path, "");
  EXPECT_TRUE(test::refuses(import, {path.string(), "not an ONNX model"})) << "empty";
  test::write_text(path, "This is a text.\nIt has two lines.\n");
  EXPECT_TRUE(test::refuses(import, {path.string(), "not an ONNX model"})) << "text";
  test::write_bytes(path, Bytes(100000, 0));
  EXPECT_TRUE(test::refuses(import, {path.string()})) << "zeros";
  EXPECT_TRUE(test::refuses([&] { import_onnx(folder.path()); }, {folder.path().string()})) << "folder";
  std::mt19937_64 rng(2);
  for (int i = 0; i < 500; ++i) {
    test::write_bytes(path, test::random_bytes(rng() % 200, rng));
    ASSERT_TRUE(test::refuses(import, {path.string()})) << i;
  }
}

}  // namespace
}  // namespace sotto::graph
