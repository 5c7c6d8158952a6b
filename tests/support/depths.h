#pragma once

#include <algorithm>
#include <vector>

#include "circuit/circuit.h"

namespace sotto::test {

/// By op of a circuit: levels between the input and its operands.
inline std::vector<int> depths(const circuit::Circuit& circuit) {
  std::vector<int> values(circuit.values.size()), ops;
  for (const circuit::Op& op : circuit.ops) {
    int& depth = ops.emplace_back(0);
    for (const circuit::Term& t : op.terms) depth = std::max(depth, values[static_cast<std::size_t>(t.source)]);
    values[static_cast<std::size_t>(op.output)] =
        depth + (op.kind == circuit::Op::Kind::activate ? op.activation.depth() : 1);
  }
  return ops;
}

}  // namespace sotto::test
