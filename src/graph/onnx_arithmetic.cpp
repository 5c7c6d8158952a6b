// Sums, differences, products and quotients.
#include <algorithm>

#include "graph/onnx_affine.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

Constant scalar(double v) { return {{}, false, {v}, {}}; }

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

// Operands that are repeated over channels, over pixels or over both (squeeze-and-excitation, attention).
void broadcast(Builder& b, const OnnxNode& n, const Value& x, const Value& y, bool is_product) {
  // ONNX puts dimensions side by side from the last one on: the batch of a vector would meet the rows of a map.
  if (x.dims.size() != y.dims.size() && b.batch() != Integer(1))
    n.fail("operands have different numbers of dimensions; give both the same, as [batch, channels, 1, 1]");
  const Shape l = shape_of(n, x.dims), r = shape_of(n, y.dims);
  const Shape all{std::max(l.c, r.c), std::max(l.h, r.h), std::max(l.w, r.w)};
  for (const Shape& s : {l, r})
    if ((s.c != all.c && s.c != 1) || ((s.h != all.h || s.w != all.w) && (s.h != 1 || s.w != 1)))
      n.fail("operands have different shapes; one may have a single channel, or a single pixel, for all of the other");
  const auto node_of = [&](const Value& v, const Shape& s) {
    const int node = v.dims.size() == 3 ? b.map(n, v) : b.flat(n, v);
    if (b.shape(node) != s) n.fail("operands have different shapes");
    return with_channels(b, n, node, all.c);
  };
  const int first = node_of(x, l), second = node_of(y, r);
  const bool swapped = b.shape(first) != all;  // a factor of one pixel comes second
  const int whole = swapped ? second : first, part = swapped ? first : second;
  if (is_product) return b.set_value(n, {b.add(n.name(), Product{}, {whole, part}, all), {all.c, all.h, all.w}});
  const auto channels = static_cast<std::size_t>(all.c);
  const auto filled = [&](int node) {  // what has one pixel multiplies ones
    if (b.shape(node) == all) return node;
    const ChannelAffine ones{std::vector<double>(channels, 0.0), std::vector<double>(channels, 1.0)};
    return b.add(n.name(), Product{}, {b.add(n.name(), ones, {whole}, all), node}, all);
  };
  const int left = filled(first), right = filled(second);
  const int added = n.op() == "Sub" ? b.add(n.name(), negative(all.c), {right}, all) : right;
  b.set_value(n, {b.add(n.name(), Sum{}, {left, added}, all), {all.c, all.h, all.w}});
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
