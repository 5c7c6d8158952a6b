#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/key_files.h"
#include "plan/client_spec.h"

namespace sotto::client {

/// Encrypts preprocessed images under the secret key, and signs: see inputs::write_input.
inputs::InputName encrypt_images(const plan::ClientSpec& spec, const Keys& keys,
                                 std::span<const std::vector<double>> images, const Sink& sink,
                                 const ProgressFn& progress);

}  // namespace sotto::client
