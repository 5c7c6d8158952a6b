#pragma once

#include "graph/network.h"

namespace sotto::compiler {

/// The same network with operations on single values before Flatten instead of behind it, where a map takes far fewer
/// ciphertexts. An affine map stays behind if its factors differ within a channel.
graph::Network flatten_last(const graph::Network& network);

}  // namespace sotto::compiler
