// Functions of single numbers: activations and powers.
#include <cmath>

#include "base/error.h"
#include "graph/onnx_activations.h"
#include "graph/onnx_affine.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

constexpr int kMostPower = 16;

// A slope per channel below zero: slope x + (1 - slope) relu(x).
void import_slopes(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const Constant& slope = b.constant(n, 1);
  Constant rest{slope.dims, false, reals_of(n, slope), {}};
  for (double& s : rest.reals) s = 1 - s;
  const Constant zero{{}, false, {0}, {}};
  const Value below = affine(b, n, v, slope, zero);
  Value relu = below;  // of the same node: the slopes may need the value as a vector
  relu.node = b.network().nodes[static_cast<std::size_t>(below.node)].inputs[0];
  relu.node = b.add(n.name(), Function::of(Function::Kind::relu), {relu.node}, b.shape(relu.node));
  const Value above = affine(b, n, relu, rest, zero);
  b.set_like(n, Sum{}, {above.node, below.node}, above);
}

}  // namespace

bool import_activation(Builder& b, const OnnxNode& n) {
  const auto scalar = [&](int i) -> std::optional<double> {
    const Constant* c = b.find_constant(n, i);
    return c != nullptr && c->size() == 1 ? std::optional(reals_of(n, *c)[0]) : std::nullopt;
  };
  std::optional<Activation> activation;
  try {
    activation = read_activation(n.proto(), scalar);
  } catch (const Error& e) {
    n.fail(e.what());
  }
  if (activation) {
    const Value& v = b.value(n, activation->input);
    b.set_like(n, std::move(activation->function), {v.node}, v);
  } else if (n.op() == "PRelu") {
    import_slopes(b, n);
  } else {
    return false;
  }
  return true;
}

void import_pow(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const std::vector<double> e = reals_of(n, b.constant(n, 1));
  const double exponent = e.size() == 1 ? e[0] : 0;
  if (exponent != std::floor(exponent) || exponent < 1 || exponent > kMostPower)
    n.fail("only the exponents 1, 2, .. " + std::to_string(kMostPower) + " run encrypted");
  if (exponent == 1) return b.set_value(n, v);
  int power = v.node;
  for (int k = 2; k < static_cast<int>(exponent); ++k)
    power = b.add(n.name(), Product{}, {power, v.node}, b.shape(v.node));
  b.set_like(n, Product{}, {power, v.node}, v);
}

}  // namespace sotto::graph
