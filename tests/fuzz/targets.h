#pragma once

#include <span>
#include <string_view>

#include "base/error.h"

namespace sotto::fuzz {

/// What a fuzzer made up.
using Input = std::span<const unsigned char>;

/// How inputs are written, which says how they are best varied.
enum class Form {
  bytes,      ///< as the file is
  container,  ///< a Sotto file without checksums: header as JSON, a NUL, what the sections hold (container_input.h)
  model,      ///< an ONNX model
  json,       ///< a text of JSON
};

/// A reader of files, or a kernel. `run` does with an input what the programs do with such a file and returns whether
/// it was accepted. Refusals are the errors of bad files; anything else that is wrong leaves as an exception.
struct Target {
  const char* name;
  Form form;
  bool (*run)(Input input);
};

/// All of them.
std::span<const Target> targets();

/// The one with this name; null if there is none.
const Target* find_target(std::string_view name);

/// Runs read(); false if it refuses its input in the way that files are refused.
template <class F>
bool accepts(F&& read) {
  try {
    read();
    return true;
  } catch (const Error& e) {
    if (e.code() == ErrorCode::internal || std::string_view(e.what()).find('\n') != std::string_view::npos) throw;
    return false;
  }
}

/// Throws what no handler takes for a refusal: the input shows a defect.
[[noreturn]] void defect(const char* what);
inline void require(bool holds, const char* what) {
  if (!holds) defect(what);
}

// The targets. Containers with right checksums:
bool read_any_container(Input input);
bool read_plan(Input input);
bool read_client(Input input);
bool read_training_plan(Input input);
bool read_secret_key(Input input);
bool read_signing_key(Input input);
bool read_public_key(Input input);
bool read_eval_key(Input input);
bool read_encrypted_input(Input input);
bool read_encrypted_output(Input input);
// Texts:
bool read_json(Input input);
bool read_spec(Input input);
bool read_input_record(Input input);
bool read_release(Input input);
// Models:
bool read_onnx(Input input);
// Images:
bool read_png(Input input);
bool read_jpeg(Input input);
bool read_npy(Input input);
bool read_npz(Input input);
bool read_idx(Input input);
bool read_pickle(Input input);
// Kernel sets against the scalar one:
bool run_kernels(Input input);

}  // namespace sotto::fuzz
