// The program that libFuzzer drives: one target, which the environment variable SOTTO_FUZZ_TARGET names.
#include <cstdio>
#include <cstdlib>

#include "fuzz/targets.h"
#include "fuzz/vary.h"

namespace {

const sotto::fuzz::Target& target() {
  static const sotto::fuzz::Target* chosen = [] {
    const char* name = std::getenv("SOTTO_FUZZ_TARGET");
    const auto* found = name == nullptr ? nullptr : sotto::fuzz::find_target(name);
    if (found != nullptr) return found;
    std::fputs("SOTTO_FUZZ_TARGET must be one of", stderr);
    for (const auto& t : sotto::fuzz::targets()) std::fprintf(stderr, " %s", t.name);
    std::fputs("\n", stderr);
    std::exit(2);
  }();
  return *chosen;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  (void)target();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().run({data, size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  switch (target().form) {
    case sotto::fuzz::Form::container:
      return sotto::fuzz::vary_container(data, size, most, seed, LLVMFuzzerMutate);
    case sotto::fuzz::Form::model:
      return sotto::fuzz::vary_model(data, size, most, seed, LLVMFuzzerMutate);
    case sotto::fuzz::Form::json:
      return sotto::fuzz::vary_json(data, size, most, seed, LLVMFuzzerMutate);
    case sotto::fuzz::Form::bytes:
      break;
  }
  return LLVMFuzzerMutate(data, size, most);
}
