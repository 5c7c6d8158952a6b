#pragma once

#include <algorithm>
#include <string>

#include "training/spec.h"

namespace sotto::training {

/// Names of the two convolutions of a layer's adapter.
inline std::string down_of(const std::string& layer) { return layer + ".down"; }
inline std::string up_of(const std::string& layer) { return layer + ".up"; }

/// Whether the node of this name is part of an adapter that the spec asks for: it is trained, and has no biases.
inline bool is_adapter_part(const std::string& node, const Spec& spec) {
  return std::ranges::any_of(spec.adapters,
                             [&](const Adapter& a) { return node == down_of(a.layer) || node == up_of(a.layer); });
}

}  // namespace sotto::training
