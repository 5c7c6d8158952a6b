#include "circuit/circuit.h"

#include <algorithm>
#include <utility>

#include "ckks/chebyshev.h"

namespace sotto::circuit {

int Activation::depth() const {
  int levels = gate ? 1 : 0;
  for (const auto& factor : factors) levels += ckks::chebyshev_depth(factor);
  return levels;
}

double Activation::operator()(double x) const {
  const double t = x / range;
  double g = t;
  for (const auto& factor : factors) g = ckks::chebyshev_value(factor, g);
  return range * (gate ? t * g : g);
}

Op copy_op(const std::string& name, int output, const std::vector<int>& sources, Op::Kind kind) {
  Op op;
  op.name = name;
  op.output = output;
  op.kind = kind;
  for (int source : sources) {
    Term& t = op.terms.emplace_back();
    t.kind = Term::Kind::copy;
    t.source = source;
  }
  return op;
}

bool Circuit::has(Op::Kind kind) const {
  return std::ranges::any_of(ops, [&](const Op& op) { return op.kind == kind; });
}

void drop_unread(Circuit& circuit) {
  std::vector<bool> read(circuit.values.size());
  read[0] = true;
  read[static_cast<std::size_t>(circuit.ops.back().output)] = true;
  for (std::size_t k = circuit.ops.size(); k-- > 0;)
    if (read[static_cast<std::size_t>(circuit.ops[k].output)])
      for (const Term& t : circuit.ops[k].terms) read[static_cast<std::size_t>(t.source)] = true;
  std::vector<int> place(read.size());
  std::vector<Value> values;
  for (std::size_t v = 0; v < read.size(); ++v) {
    place[v] = static_cast<int>(values.size());
    if (read[v]) values.push_back(std::move(circuit.values[v]));
  }
  circuit.values = std::move(values);
  std::erase_if(circuit.ops, [&](const Op& op) { return !read[static_cast<std::size_t>(op.output)]; });
  for (Op& op : circuit.ops) {
    op.output = place[static_cast<std::size_t>(op.output)];
    for (Term& t : op.terms) t.source = place[static_cast<std::size_t>(t.source)];
  }
}

}  // namespace sotto::circuit
