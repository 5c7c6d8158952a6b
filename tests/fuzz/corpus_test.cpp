// Every input of the corpus through its target, without a fuzzer: what was found once stays found.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <random>

#include "fuzz/targets.h"
#include "fuzz/vary.h"
#include "support/files.h"

namespace sotto::fuzz {

// Without it names of tests hold addresses.
inline void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

namespace fs = std::filesystem;

const fs::path kSource = SOTTO_SOURCE_DIR;

// Inputs of a target. Names that begin with "valid" are accepted ones. Models and specs of other tests serve, too.
std::vector<fs::path> corpus_of(const Target& target) {
  std::vector<fs::path> files;
  const auto add = [&](const fs::path& folder, const std::string& ending) {
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().string().ends_with(ending) && entry.file_size() < 20'000) files.push_back(entry.path());
  };
  add(kSource / "tests/fuzz/corpus" / target.name, "");
  if (std::string(target.name) == "onnx") add(kSource / "tests/golden/graph", ".onnx");
  if (std::string(target.name) == "spec") add(kSource / "models/train", ".toml");
  std::ranges::sort(files);
  return files;
}

class FuzzCorpus : public testing::TestWithParam<Target> {};

TEST_P(FuzzCorpus, EveryInput) {
  std::size_t accepted = 0;
  for (const fs::path& file : corpus_of(GetParam())) {
    const test::Bytes bytes = test::read_bytes(file);
    bool result = false;
    ASSERT_NO_THROW(result = GetParam().run(bytes)) << file;
    if (file.filename().string().starts_with("valid")) {
      EXPECT_TRUE(result) << file
                          << " is refused: the reader changed; make the corpus anew (tests/fuzz/make_corpus.cpp)";
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 0u) << "a target that nothing gets through is of no use";
}

// One to four edits, in place.
std::size_t edit(std::uint8_t* data, std::size_t size, std::size_t most) {
  static std::mt19937_64 random(1);
  const test::Bytes edited = test::mutate({data, data + size}, random);
  const std::size_t kept = std::min(edited.size(), most);
  std::copy_n(edited.begin(), kept, data);
  return kept;
}

// Of every input; SOTTO_FUZZ_VARIATIONS asks for more, where there is no libFuzzer.
unsigned variations() {
  const char* asked = std::getenv("SOTTO_FUZZ_VARIATIONS");
  return asked == nullptr ? 5 : static_cast<unsigned>(std::atoi(asked));
}

TEST_P(FuzzCorpus, Variations) {
  for (const fs::path& file : corpus_of(GetParam())) {
    const test::Bytes original = test::read_bytes(file);
    bool changed = false;
    for (unsigned seed = 0; seed < variations(); ++seed) {
      test::Bytes bytes = original;
      bytes.resize(original.size() + 4096);
      const auto vary = GetParam().form == Form::container ? vary_container
                        : GetParam().form == Form::json    ? vary_json
                        : GetParam().form == Form::model
                            ? vary_model
                            : [](std::uint8_t* data, std::size_t size, std::size_t most, unsigned, VaryBytes bytes_of) {
                                return bytes_of(data, size, most);
                              };
      bytes.resize(vary(bytes.data(), original.size(), bytes.size(), seed, edit));
      changed = changed || bytes != original;
      try {
        (void)GetParam().run(bytes);
      } catch (const std::exception& e) {
        const fs::path kept = fs::temp_directory_path() / (std::string("sotto-fuzz-") + GetParam().name);
        test::write_bytes(kept, bytes);
        FAIL() << e.what() << ": " << file << ", variation " << seed << ", kept as " << kept;
      }
    }
    EXPECT_TRUE(changed || variations() == 0) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpus, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sotto::fuzz
