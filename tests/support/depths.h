#pragma once

#include <algorithm>
#include <vector>

#include "circuit/circuit.h"

namespace sotto::test {

/// By op of a circuit: levels between the input and its operands. Factors of a product take none.
inline std::vector<int> depths(const circuit::Circuit& circuit) {
  using Kind = circuit::Op::Kind;
  std::vector<int> values(circuit.values.size()), ops;
  std::vector<bool> factor(values.size());
  for (const circuit::Op& op : circuit.ops)
    for (const circuit::Term& t : op.terms)
      if (op.kind == Kind::multiply) factor[static_cast<std::size_t>(t.source)] = true;
  for (const circuit::Op& op : circuit.ops) {
    int& depth = ops.emplace_back(0);
    for (const circuit::Term& t : op.terms) depth = std::max(depth, values[static_cast<std::size_t>(t.source)]);
    const auto out = static_cast<std::size_t>(op.output);
    values[out] = depth + (op.kind == Kind::activate ? op.activation.depth() : factor[out] ? 0 : 1);
  }
  return ops;
}

}  // namespace sotto::test
