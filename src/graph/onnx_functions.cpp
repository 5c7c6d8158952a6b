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

// A constant that is one number; nothing if the input is none.
std::optional<double> number(Builder& b, const OnnxNode& n, int i) {
  const Constant* c = b.find_constant(n, i);
  return c != nullptr && c->size() == 1 ? std::optional(reals_of(n, *c)[0]) : std::nullopt;
}

Constant scalar(double v) { return {{}, false, {v}, {}}; }

}  // namespace

bool import_activation(Builder& b, const OnnxNode& n) {
  const auto scalar = [&](int i) { return number(b, n, i); };
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

// 1 where a value lies on one side of a number, else 0. It jumps, and runs only as a part of what does not (fuse.h).
void import_comparison(Builder& b, const OnnxNode& n) {
  const std::optional<double> left = number(b, n, 0), right = number(b, n, 1);
  if (left.has_value() == right.has_value()) n.fail("only a value and one constant number can be compared");
  const Value& v = b.value(n, left ? 1 : 0);
  const double at = left ? *left : *right, equal = n.op().ends_with("OrEqual") ? 1 : 0;
  const bool above = n.op().starts_with("Greater") == right.has_value();
  Function f = Function::of(Function::Kind::greater, at, equal);
  if (!above) f.steps = {{Function::Kind::affine, -1, 0, 0, 0}, {Function::Kind::greater, -at, equal, 1, 1}};
  b.set_like(n, std::move(f), {v.node}, v);
}

// no + condition (yes - no), where one of both may be a number.
void import_where(Builder& b, const OnnxNode& n) {
  const Value& condition = b.value(n, 0);
  const std::optional<double> yes = number(b, n, 1), no = number(b, n, 2);
  if (yes && no) return set_affine(b, n, condition, scalar(*yes - *no), scalar(*no));
  const Value& v = b.value(n, yes ? 2 : 1);
  if (v.dims != condition.dims || (!yes && !no && b.value(n, 2).dims != condition.dims))
    n.fail("operands have different shapes");
  const Shape s = b.shape(condition.node);
  Value gap;
  if (yes || no) {
    gap = affine(b, n, v, scalar(yes ? -1 : 1), scalar(yes ? *yes : -*no));
  } else {
    gap = affine(b, n, b.value(n, 2), scalar(-1), scalar(0));
    if (b.shape(v.node) == b.shape(gap.node)) gap.node = b.add(n.name(), Sum{}, {v.node, gap.node}, b.shape(v.node));
  }
  if (b.shape(gap.node) != s || b.shape(v.node) != s) n.fail("operands are views of different maps");
  Value taken = condition;
  taken.node = b.add(n.name(), Product{}, {condition.node, gap.node}, s);
  if (no) return set_affine(b, n, taken, scalar(1), scalar(*no));
  b.set_like(n, Sum{}, {taken.node, b.value(n, 2).node}, taken);
}

}  // namespace sotto::graph
