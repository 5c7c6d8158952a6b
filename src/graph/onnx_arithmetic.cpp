// Sums, differences, products and quotients.
#include <utility>

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

Shape shape_of(const OnnxNode& n, const Dims& dims) {
  // One image's value as a map: [c, h, w], or one number per channel.
  Dims d = dims;
  while (d.size() < 3) d.insert(d.begin(), 1);
  if (d.size() != 3) n.fail("operands have different shapes");
  return {static_cast<int>(d[0]), static_cast<int>(d[1]), static_cast<int>(d[2])};
}

// A node with as many channels as another: its only one repeated.
int with_channels(Builder& b, const OnnxNode& n, int node, int channels) {
  const Shape s = b.shape(node);
  if (s.c == channels) return node;
  const Rearrange repeat{std::vector<int>(static_cast<std::size_t>(channels), 0)};
  return b.add(n.name(), repeat, {node}, {channels, s.h, s.w});
}

// Operands of which one is repeated over channels, over pixels or over both (squeeze-and-excitation, attention).
void broadcast(Builder& b, const OnnxNode& n, Value x, Value y, bool is_product) {
  Shape large = shape_of(n, x.dims), small = shape_of(n, y.dims);
  const bool swapped = small.size() > large.size();
  if (swapped) std::swap(large, small);
  const Value &map = swapped ? y : x, &part = swapped ? x : y;
  const bool one_pixel = small.h == 1 && small.w == 1;
  if ((small.c != large.c && small.c != 1) || (!one_pixel && (small.h != large.h || small.w != large.w)) ||
      map.dims.size() != 3)
    n.fail("operands have different shapes; one may have a single channel, or a single pixel, for all of the other");
  const int whole = b.map(n, map);
  int factor = part.dims.size() == 3 ? b.map(n, part) : b.flat(n, part);
  if (b.shape(factor).size() != small.size()) n.fail("operands have different shapes");
  factor = with_channels(b, n, factor, large.c);
  const auto channels = static_cast<std::size_t>(large.c);
  if (is_product) return b.set_like(n, Product{}, {whole, factor}, map);
  // A sum: what has one pixel multiplies ones.
  if (one_pixel && large.h * large.w > 1) {
    const ChannelAffine ones{std::vector<double>(channels, 0.0), std::vector<double>(channels, 1.0)};
    factor = b.add(n.name(), Product{}, {b.add(n.name(), ones, {whole}, large), factor}, large);
  }
  const int negated = n.op() != "Sub" ? -1 : swapped ? whole : factor;
  const auto term = [&](int node) {
    return node == negated ? b.add(n.name(), negative(large.c), {node}, large) : node;
  };
  b.set_like(n, Sum{}, {term(whole), term(factor)}, map);
}

}  // namespace

void import_arithmetic(Builder& b, const OnnxNode& n) {
  if (n.inputs() != 2) n.fail("it must have two inputs");
  const Constant *left = b.find_constant(n, 0), *right = b.find_constant(n, 1);
  if (left != nullptr || right != nullptr)
    return with_constant(b, n, b.value(n, left != nullptr ? 1 : 0), left != nullptr ? *left : *right, left != nullptr);
  const bool is_product = n.op() == "Mul" || n.op() == "Div";
  Value x = b.value(n, 0), y = b.value(n, 1);
  if (x.dims != y.dims) {
    // The quotient of a small value by a large one is that value times the inverses.
    if (n.op() == "Div") y = inverse(b, n, y);
    return broadcast(b, n, x, y, is_product);
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
