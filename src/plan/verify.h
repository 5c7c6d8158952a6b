#pragma once

#include <string>

#include "plan/plan.h"

namespace sotto::plan {

/// Checks a plan as one that came from a file: indices, sizes, levels and scales that fit each other, keys that
/// suffice. Throws Error{bad_input}.
void verify(const Plan& plan);
/// Checks that a plan ends in a vector of scores, which is what its readers expect. Throws Error{bad_input}.
void require_scores(const Plan& plan);

/// Throws Error{bad_input}, with this name, unless ciphertexts with these parameters can have the level.
void verify_level(const ckks::ParametersSpec& parameters, const ckks::Level& level, const std::string& name);

/// The parts of `verify` that a client checks, too: layout of images and scores, and the key list.
void verify_interface(const ckks::ParametersSpec& parameters, const Axes& tile, int batch, const Tensor& input,
                      const Interface& io);
void verify_keys(const ckks::ParametersSpec& parameters, const ckks::KeyRequest& keys);

}  // namespace sotto::plan
