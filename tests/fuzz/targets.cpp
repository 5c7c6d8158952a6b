#include "fuzz/targets.h"

#include <array>
#include <stdexcept>

namespace sotto::fuzz {

namespace {

constexpr std::array kTargets = {
    Target{"container", Form::bytes, read_any_container},
    Target{"plan", Form::container, read_plan},
    Target{"client", Form::container, read_client},
    Target{"training_plan", Form::container, read_training_plan},
    Target{"secret_key", Form::container, read_secret_key},
    Target{"signing_key", Form::container, read_signing_key},
    Target{"public_key", Form::container, read_public_key},
    Target{"eval_key", Form::container, read_eval_key},
    Target{"encrypted_input", Form::container, read_encrypted_input},
    Target{"encrypted_output", Form::container, read_encrypted_output},
    Target{"json", Form::bytes, read_json},
    Target{"spec", Form::bytes, read_spec},
    Target{"input_record", Form::json, read_input_record},
    Target{"release", Form::json, read_release},
    Target{"onnx", Form::model, read_onnx},
    Target{"png", Form::bytes, read_png},
    Target{"jpeg", Form::bytes, read_jpeg},
    Target{"npy", Form::bytes, read_npy},
    Target{"npz", Form::bytes, read_npz},
    Target{"idx", Form::bytes, read_idx},
    Target{"pickle", Form::bytes, read_pickle},
    Target{"kernels", Form::bytes, run_kernels},
};

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target* find_target(std::string_view name) {
  for (const Target& t : kTargets)
    if (t.name == name) return &t;
  return nullptr;
}

void defect(const char* what) { throw std::logic_error(what); }

}  // namespace sotto::fuzz
