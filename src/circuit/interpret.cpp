#include "circuit/interpret.h"

#include "base/error.h"
#include "circuit/term_planes.h"
#include "circuit/term_rows.h"

namespace sotto::circuit {

namespace {

void add_term(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& in_values,
              std::vector<double>& sum) {
  if (is_sum_of_planes(term, in, out)) {
    add_planes(term, in, out, in_values, sum);
    return;
  }
  for_each_row(term, in, out, [&](const TermRow& r) {
    const double* src = in_values.data() + r.source;
    double* dst = sum.data() + r.destination;
    if (r.factor != nullptr) {
      for (int k = 0; k < r.count; ++k)
        dst[k] += r.factor[k] * r.weight * src[static_cast<std::ptrdiff_t>(k) * r.stride];
    } else {
      for (int k = 0; k < r.count; ++k) dst[k] += r.weight * src[static_cast<std::ptrdiff_t>(k) * r.stride];
    }
  });
}

// What an op adds up, or copies.
std::vector<double> sum_of(const View& circuit, const Op& op, const std::vector<std::vector<double>>& values) {
  if (op.slotwise()) return values[static_cast<std::size_t>(op.terms.front().source)];
  const Shape& out = *circuit.values[static_cast<std::size_t>(op.output)];
  const std::size_t plane = out.plane();
  std::vector<double> sum(out.size());
  const bool per_channel = op.bias.size() == static_cast<std::size_t>(out.channels);
  for (std::size_t k = 0; k < sum.size(); ++k) sum[k] = op.bias[per_channel ? k / plane : k];
  for (const Term& term : op.terms) {
    const auto source = static_cast<std::size_t>(term.source);
    add_term(term, *circuit.values[source], out, values[source], sum);
  }
  return sum;
}

// Multiplies by the second operand of a product.
void multiply(std::vector<double>& result, const std::vector<double>& factor) {
  const std::size_t each = result.size() / factor.size();  // pixels that share one
  for (std::size_t k = 0; k < result.size(); ++k) result[k] *= factor[k / each];
}

}  // namespace

View::View(const Circuit& circuit) {
  for (const Value& v : circuit.values) values.push_back(&v.shape);
  for (const Op& op : circuit.ops) ops.push_back(&op);
}

std::vector<double> interpret(const View& circuit, std::span<const double> image, const Hooks& hooks) {
  check(image.size() == circuit.values.front()->size(), "image of another size");
  std::vector<std::size_t> last_use(circuit.values.size());
  for (std::size_t k = 0; k < circuit.ops.size(); ++k)
    for (const Term& t : circuit.ops[k]->terms) last_use[static_cast<std::size_t>(t.source)] = k;
  std::vector<std::vector<double>> values(circuit.values.size());
  values[0].assign(image.begin(), image.end());
  if (hooks.input) hooks.input(values[0]);
  for (std::size_t k = 0; k < circuit.ops.size(); ++k) {
    const Op& op = *circuit.ops[k];
    std::vector<double> result = sum_of(circuit, op, values);
    if (hooks.sum) hooks.sum(static_cast<int>(k), result);
    if (op.kind == Op::Kind::square)
      for (double& v : result) v *= v;
    if (op.kind == Op::Kind::multiply) multiply(result, values[static_cast<std::size_t>(op.terms.back().source)]);
    if (op.kind == Op::Kind::activate)
      for (double& v : result) v = op.activation(v);
    if (hooks.result) hooks.result(static_cast<int>(k), result);
    values[static_cast<std::size_t>(op.output)] = std::move(result);
    for (const Term& t : op.terms)
      if (last_use[static_cast<std::size_t>(t.source)] == k)
        std::vector<double>().swap(values[static_cast<std::size_t>(t.source)]);
  }
  return values[static_cast<std::size_t>(circuit.ops.back()->output)];
}

std::vector<double> interpret(const View& circuit, std::span<const double> image,
                              const std::function<void(int, std::span<const double>)>& observe) {
  Hooks hooks;
  if (observe) {
    hooks.input = [&](std::vector<double>& v) { observe(0, v); };
    hooks.result = [&](int op, std::vector<double>& v) {
      observe(circuit.ops[static_cast<std::size_t>(op)]->output, v);
    };
  }
  return interpret(circuit, image, hooks);
}

}  // namespace sotto::circuit
