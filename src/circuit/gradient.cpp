#include "circuit/gradient.h"

#include <algorithm>

#include "circuit/term_planes.h"
#include "circuit/term_rows.h"

namespace sotto::circuit {

namespace {

// Adds to the gradient of a term's source what the gradient of the sum gives it.
void add_transposed(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& sum,
                    std::vector<double>& source) {
  if (is_sum_of_planes(term, in, out)) {
    add_planes_transposed(term, in, out, sum, source);
    return;
  }
  for_each_row(term, in, out, [&](const TermRow& r) {
    const double* from = sum.data() + r.destination;
    double* to = source.data() + r.source;
    for (int k = 0; k < r.count; ++k)
      to[static_cast<std::ptrdiff_t>(k) * r.stride] += r.weight * (r.factor == nullptr ? 1 : r.factor[k]) * from[k];
  });
}

// d result / du, for one number of an op's sum.
double slope(const Op& op, double u) {
  if (op.kind == Op::Kind::square) return 2 * u;
  if (op.kind != Op::Kind::activate) return 1;
  const double h = 1e-5 * op.activation.range;
  return (op.activation(u + h) - op.activation(u - h)) / (2 * h);
}

// What the gradient of a product gives to its operands.
void add_product(const Op& op, const Trace& run, Trace& out) {
  const auto left = static_cast<std::size_t>(op.terms.front().source),
             right = static_cast<std::size_t>(op.terms.back().source);
  const std::vector<double>& result = out.values[static_cast<std::size_t>(op.output)];
  const std::size_t each = result.size() / run.values[right].size();
  for (std::size_t k = 0; k < result.size(); ++k) {
    out.values[left][k] += result[k] * run.values[right][k / each];
    out.values[right][k / each] += result[k] * run.values[left][k];
  }
}

}  // namespace

const std::vector<double>& Trace::scores(const View& circuit) const {
  return values[static_cast<std::size_t>(circuit.ops.back()->output)];
}

Trace trace(const View& circuit, std::span<const double> image) {
  Trace run{std::vector<std::vector<double>>(circuit.values.size()),
            std::vector<std::vector<double>>(circuit.ops.size())};
  Hooks hooks;
  hooks.input = [&](std::vector<double>& v) { run.values[0] = v; };
  hooks.sum = [&](int k, std::vector<double>& v) {
    const Op& op = *circuit.ops[static_cast<std::size_t>(k)];
    if (op.kind == Op::Kind::activate)
      for (double& x : v) x = std::clamp(x, -op.activation.range, op.activation.range);
    run.sums[static_cast<std::size_t>(k)] = v;
  };
  hooks.result = [&](int k, std::vector<double>& v) {
    run.values[static_cast<std::size_t>(circuit.ops[static_cast<std::size_t>(k)]->output)] = v;
  };
  interpret(circuit, image, hooks);
  return run;
}

Trace gradient(const View& circuit, const Trace& run, std::span<const double> direction) {
  Trace out{{}, std::vector<std::vector<double>>(circuit.ops.size())};
  for (const auto& numbers : run.values) out.values.emplace_back(numbers.size());
  out.values[static_cast<std::size_t>(circuit.ops.back()->output)].assign(direction.begin(), direction.end());
  for (std::size_t k = circuit.ops.size(); k-- > 0;) {
    const Op& op = *circuit.ops[k];
    std::vector<double>& sum = out.sums[k];
    sum = out.values[static_cast<std::size_t>(op.output)];
    if (op.kind == Op::Kind::multiply) {
      add_product(op, run, out);
      continue;
    }
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] *= slope(op, run.sums[k][i]);
    for (const Term& term : op.terms) {
      std::vector<double>& source = out.values[static_cast<std::size_t>(term.source)];
      if (op.slotwise()) {
        for (std::size_t i = 0; i < sum.size(); ++i) source[i] += sum[i];
        continue;
      }
      add_transposed(term, *circuit.values[static_cast<std::size_t>(term.source)],
                     *circuit.values[static_cast<std::size_t>(op.output)], sum, source);
    }
  }
  return out;
}

}  // namespace sotto::circuit
