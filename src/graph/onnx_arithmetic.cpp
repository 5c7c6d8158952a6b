// Sums, differences, products and quotients.
#include "graph/onnx_affine.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

Constant scalar(double v) { return {{}, false, {v}, {}}; }

ChannelAffine negative(int channels) {
  const auto c = static_cast<std::size_t>(channels);
  return {std::vector<double>(c, -1.0), std::vector<double>(c, 0.0)};
}

// 1 / v, which runs as a part of an activation (fuse.h).
Value inverse(Builder& b, const OnnxNode& n, const Value& v) {
  Value out = v;
  out.node = b.add(n.name(), Function::of(Function::Kind::reciprocal), {v.node}, b.shape(v.node));
  return out;
}

void with_constant(Builder& b, const OnnxNode& n, const Value& v, const Constant& c, bool constant_first) {
  const std::string& op = n.op();
  Constant k{c.dims, false, reals_of(n, c), {}};
  if (op == "Add") return set_affine(b, n, v, scalar(1), k);
  if (op == "Mul") return set_affine(b, n, v, k, scalar(0));
  if (op == "Sub" && constant_first) return set_affine(b, n, v, scalar(-1), k);
  if (op == "Div" && constant_first) return set_affine(b, n, inverse(b, n, v), k, scalar(0));
  for (double& x : k.reals) {
    if (op == "Div" && x == 0) n.fail("division by zero");
    x = op == "Div" ? 1 / x : -x;
  }
  op == "Div" ? set_affine(b, n, v, k, scalar(0)) : set_affine(b, n, v, scalar(1), k);
}

}  // namespace

void import_arithmetic(Builder& b, const OnnxNode& n) {
  if (n.inputs() != 2) n.fail("it must have two inputs");
  const Constant *left = b.find_constant(n, 0), *right = b.find_constant(n, 1);
  if (left != nullptr || right != nullptr)
    return with_constant(b, n, b.value(n, left != nullptr ? 1 : 0), left != nullptr ? *left : *right, left != nullptr);
  const bool is_product = n.op() == "Mul" || n.op() == "Div";
  const Value& x = b.value(n, 0);
  Value y = b.value(n, 1);
  if (x.dims != y.dims) {
    n.fail(is_product ? "operands have different shapes; products of a map with one number per channel "
                        "(squeeze-and-excitation) do not run encrypted"
                      : "operands have different shapes");
  }
  if (n.op() == "Div") y = inverse(b, n, y);
  int first = x.node, second = y.node;
  if (b.shape(first) != b.shape(second)) first = b.flat(n, x), second = b.flat(n, y);
  const Shape s = b.shape(first);
  if (n.op() == "Sub") second = b.add(n.name(), negative(s.c), {second}, s);
  is_product ? b.set_like(n, Product{}, {first, second}, x) : b.set_like(n, Sum{}, {first, second}, x);
}

void import_negation(Builder& b, const OnnxNode& n) { set_affine(b, n, b.value(n, 0), scalar(-1), scalar(0)); }

}  // namespace sotto::graph
