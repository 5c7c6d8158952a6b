#include "training/spec.h"

#include <gtest/gtest.h>

#include <string>

#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::training {
namespace {

using test::refuses;

TEST(TrainingSpec, ReadsEveryKey) {
  const Spec s = parse_spec(R"(
layers = ["conv1", "fc"]
new_head = 5
loss = "squared-error"
steps = 80
batch = 1024
seed = 7
range = 2

[optimiser]
name = "sgd"
rate = 0.125
momentum = 0.9
nesterov = true
weight_decay = 1e-4

[[adapter]]
layer = "conv2"
rank = 4

[[schedule]]
step = 40
factor = 0.5
[[schedule]]
step = 60
factor = 0.1
)",
                            "spec.toml");
  EXPECT_EQ(s.layers, (std::vector<std::string>{"conv1", "fc"}));
  EXPECT_EQ(s.new_head, 5);
  EXPECT_EQ(s.loss, Spec::Loss::squared_error);
  EXPECT_EQ(s.steps, 80);
  EXPECT_EQ(s.batch, 1024);
  EXPECT_EQ(s.seed, 7u);
  EXPECT_EQ(s.range, 2);
  EXPECT_EQ(s.rate, 0.125);
  EXPECT_EQ(s.momentum, 0.9);
  EXPECT_TRUE(s.nesterov);
  EXPECT_EQ(s.weight_decay, 1e-4);
  ASSERT_EQ(s.adapters.size(), 1u);
  EXPECT_EQ(s.adapters[0].layer, "conv2");
  EXPECT_EQ(s.adapters[0].rank, 4);
  ASSERT_EQ(s.schedule.size(), 2u);
  EXPECT_EQ(s.schedule[1].step, 60);
  EXPECT_EQ(s.schedule[1].factor, 0.1);
}

TEST(TrainingSpec, OnlyStepsAndBatchHaveNoDefault) {
  const Spec s = parse_spec("steps = 3\nbatch = 4\n", "spec.toml"), otherwise;
  EXPECT_TRUE(s.layers.empty());
  EXPECT_EQ(s.rate, otherwise.rate);
  EXPECT_EQ(s.momentum, 0);
  EXPECT_EQ(s.range, otherwise.range);
  EXPECT_EQ(s.loss, Spec::Loss::squared_error);
  EXPECT_EQ(parse_spec("steps = 3\nbatch = 4\nloss = \"softmax\"\n", "spec.toml").loss, Spec::Loss::softmax);
  EXPECT_TRUE(refuses([] { return parse_spec("steps = 3", "a.toml"); }, {"a.toml", "batch is missing"}));
  EXPECT_TRUE(refuses([] { return parse_spec("batch = 3", "a.toml"); }, {"a.toml", "steps is missing"}));
}

TEST(TrainingSpec, AnEmptyFileIsSaidToBeEmpty) {
  EXPECT_TRUE(refuses([] { return parse_spec("# nothing\n", "my.toml"); }, {"my.toml", "empty", "steps", "batch"}));
}

TEST(TrainingSpec, NormalEquationsHaveARidge) {
  const std::string text = "steps = 3\nbatch = 4\n[optimiser]\nname = \"normal-equations\"\n";
  EXPECT_EQ(parse_spec(text, "a.toml").optimiser, Spec::Optimiser::normal_equations);
  EXPECT_EQ(parse_spec(text, "a.toml").ridge, Spec{}.ridge);
  EXPECT_EQ(parse_spec(text + "ridge = 0.25\n", "a.toml").ridge, 0.25);
  EXPECT_EQ(parse_spec("loss = \"squared-error\"\n" + text, "a.toml").loss, Spec::Loss::squared_error);
  const auto refused = [&](const std::string& before, const std::string& behind, const std::string& why) {
    return refuses([&] { return parse_spec(before + text + behind, "a.toml"); }, {"a.toml", why});
  };
  EXPECT_TRUE(refused("", "rate = 0.1\n", "unknown key 'optimiser.rate'"));
  EXPECT_TRUE(refused("", "ridge = 0\n", "optimiser.ridge"));
  EXPECT_TRUE(refused("range = 2\n", "", "range"));
  EXPECT_TRUE(refused("loss = \"softmax\"\n", "", "squared-error"));
  EXPECT_TRUE(refused("", "[[schedule]]\nstep = 1\nfactor = 1\n", "schedule"));
  EXPECT_TRUE(refuses(
      [&] { return parse_spec("batch = 131072\nsteps = 1000\n[optimiser]\nname = \"normal-equations\"\n", "a.toml"); },
      {"16777216"}));
  EXPECT_TRUE(refuses([&] { return parse_spec("batch = 4\nsteps = 3\n[optimiser]\nridge = 0.1\n", "a.toml"); },
                      {"unknown key 'optimiser.ridge'"}));
}

TEST(TrainingSpec, ReadsFiles) {
  const test::TempFolder folder;
  test::write_text(folder / "spec.toml", "steps = 3\nbatch = 4\n");
  EXPECT_EQ(read_spec(folder / "spec.toml").batch, 4);
  EXPECT_TRUE(refuses([&] { return read_spec(folder / "none.toml"); }, {"none.toml", "cannot read"}));
  EXPECT_TRUE(refuses([&] { return read_spec(folder / ""); }, {"cannot read"}));
}

struct Wrong {
  std::string line;                   // added to a spec that is fine
  std::vector<std::string> messages;  // parts of the error
};

class WrongSpec : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSpec, IsRefusedWithFileAndKey) {
  const Wrong& w = GetParam();
  // Top-level keys go in front, tables behind.
  const std::string good = "steps = 3\nbatch = 4\n";
  const std::string text = w.line.starts_with("steps") || w.line.starts_with("batch")
                               ? w.line + (w.line.starts_with("steps") ? "\nbatch = 4\n" : "\nsteps = 3\n")
                               : good + w.line + "\n";
  try {
    parse_spec(text, "my.toml");
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(e.code(), ErrorCode::bad_input);
    EXPECT_TRUE(message.starts_with("my.toml: ")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& part : w.messages) EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(TrainingSpec, AnEmptyFileIsCalledEmpty) {
  const test::TempFolder folder;
  test::write_text(folder / "spec.toml", "");
  EXPECT_TRUE(refuses([&] { (void)read_spec(folder / "spec.toml"); }, {"spec.toml: it is empty"}));
}

INSTANTIATE_TEST_SUITE_P(
    Training, WrongSpec,
    testing::Values(
        Wrong{"steps = 0", {"steps", "from 1"}}, Wrong{"steps = 2.5", {"steps", "an integer"}},
        Wrong{"steps = \"3\"", {"steps", "an integer"}}, Wrong{"batch = -4", {"batch", "from 1 to 131072"}},
        Wrong{"batch = 99999999999", {"batch", "from 1 to 131072"}}, Wrong{"seed = -1", {"seed", "0 or above"}},
        Wrong{"seed = true", {"seed", "an integer"}}, Wrong{"range = 0", {"range", "above 0"}},
        Wrong{"range = inf", {"range", "above 0"}}, Wrong{"range = nan", {"range", "above 0"}},
        Wrong{"range = \"4\"", {"range", "a number"}},
        Wrong{"loss = \"cross-entropy\"", {"loss", "\"squared-error\" or \"softmax\""}},
        Wrong{"loss = 3", {"loss", "\"squared-error\" or \"softmax\""}},
        Wrong{"layers = \"fc\"", {"layers", "list of names"}}, Wrong{"layers = [1]", {"layers", "list of names"}},
        Wrong{"layers = []", {"layers", "leave it out"}}, Wrong{"layers = [\"\"]", {"layers", "empty name"}},
        Wrong{"layers = [\"a\", \"a\"]", {"layers", "'a' twice"}},
        Wrong{"rate = 0.1", {"unknown key 'rate'", "optimiser", "schedule"}},
        Wrong{"optimiser = 3", {"optimiser", "a table"}}, Wrong{"schedule = 3", {"schedule", "[[schedule]]"}},
        Wrong{"schedule = [3]", {"schedule", "[[schedule]]"}},
        Wrong{"[optimiser]\nname = \"adam\"", {"optimiser.name", "\"sgd\" or \"normal-equations\""}},
        Wrong{"[optimiser]\nrate = 0", {"optimiser.rate", "above 0"}},
        Wrong{"[optimiser]\nrate = nan", {"optimiser.rate", "above 0"}},
        Wrong{"[optimiser]\nrate = true", {"optimiser.rate", "a number"}},
        Wrong{"[optimiser]\nmomentum = 1", {"optimiser.momentum", "below 1"}},
        Wrong{"[optimiser]\nmomentum = -0.1", {"optimiser.momentum", "at least 0"}},
        Wrong{"[optimiser]\nnesterov = 1", {"optimiser.nesterov", "true or false"}},
        Wrong{"[optimiser]\nnesterov = true", {"optimiser.nesterov", "momentum"}},
        Wrong{"[optimiser]\nweight_decay = -1", {"optimiser.weight_decay", "from 0 to 1"}},
        Wrong{"[optimiser]\ndampening = 0", {"unknown key 'optimiser.dampening'", "momentum"}},
        Wrong{"[[adapter]]\nlayer = \"c\"", {"[[adapter]]", "rank"}},
        Wrong{"[[adapter]]\nrank = 2", {"[[adapter]]", "layer"}}, Wrong{"adapter = 3", {"adapter", "[[adapter]]"}},
        Wrong{"[[adapter]]\nlayer = \"c\"\nrank = 0", {"adapter.rank", "from 1"}},
        Wrong{"[[adapter]]\nlayer = 3\nrank = 2", {"adapter.layer", "a text"}},
        Wrong{"[[adapter]]\nlayer = \"c\"\nrank = 2\nalpha = 4", {"unknown key 'adapter.alpha'"}},
        Wrong{"[[adapter]]\nlayer = \"c\"\nrank = 2\n[[adapter]]\nlayer = \"c\"\nrank = 3", {"two adapters", "'c'"}},
        Wrong{"layers = [\"c\"]\n[[adapter]]\nlayer = \"c\"\nrank = 2", {"'c'", "layers", "adapter"}},
        Wrong{"[[schedule]]\nstep = 3", {"[[schedule]]", "factor"}},
        Wrong{"[[schedule]]\nfactor = 3", {"[[schedule]]", "step"}},
        Wrong{"[[schedule]]\nstep = -3\nfactor = 1", {"schedule.step", "from 0"}},
        Wrong{"[[schedule]]\nstep = 3\nfactor = 0", {"schedule.factor", "above 0"}},
        Wrong{"[[schedule]]\nstep = 3\nfactor = 1\nuntil = 4", {"unknown key 'schedule.until'"}},
        Wrong{"[[schedule]]\nstep = 3\nfactor = 1\n[[schedule]]\nstep = 3\nfactor = 1", {"schedule", "ascend"}},
        Wrong{"[[schedule]]\nstep = 0\nfactor = 1000\n[[schedule]]\nstep = 1\nfactor = 1000",
              {"factors", "above 1000"}},
        Wrong{"range = = 3", {"line 3 is no TOML"}}, Wrong{"range = 3\nrange = 3", {"line 4 is no TOML"}}));

}  // namespace
}  // namespace sotto::training
