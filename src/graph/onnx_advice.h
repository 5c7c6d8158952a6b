#pragma once

#include <string>

namespace sotto::graph {

/// Why an ONNX operator that the import does not know cannot run encrypted, and what to use instead where there is
/// something.
std::string advice_for(const std::string& op_type);

}  // namespace sotto::graph
