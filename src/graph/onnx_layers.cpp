// Convolutions, normalisation and fully connected layers.
#include <cmath>

#include "graph/onnx_affine.h"
#include "graph/onnx_limits.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_shapes.h"
#include "graph/onnx_windows.h"

namespace sotto::graph {

namespace {

// A bias that is a scalar or has one number per output.
std::vector<double> bias_of(const OnnxNode& n, const Constant& c, int outputs) {
  std::vector<double> bias = reals_of(n, c);
  const bool row = bias.size() == 1 || c.dims.back() == static_cast<std::int64_t>(bias.size());
  if (bias.size() == 1) bias.assign(static_cast<std::size_t>(outputs), bias[0]);
  if (bias.size() != static_cast<std::size_t>(outputs) || !row) n.fail("wrong number of biases");
  return bias;
}

}  // namespace

void import_conv(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const Constant& w = b.constant(n, 1);
  if (w.dims.size() != v.dims.size() + 1 || w.dims.size() < 3 || w.dims.size() > 4)
    n.fail("weights must have as many dimensions as the input, three or four");
  for (const std::int64_t d : w.dims)
    if (d < 1 || d > kMaxChannels) n.fail("impossible weight shape");
  int source = b.map(n, v);
  const Shape in = b.shape(source);
  const std::int64_t groups = n.integer("group", 1);
  if (groups < 1 || groups > in.c) n.fail("impossible number of groups");
  const Dims kernel(w.dims.begin() + 2, w.dims.end());
  if (n.integers("kernel_shape").value_or(kernel) != kernel) n.fail("kernel_shape does not fit the weights");
  Conv2d c;
  c.groups = static_cast<int>(groups);
  c.out_c = static_cast<int>(w.dims[0]);
  c.in_c = in.c;
  if (in.c % c.groups != 0 || c.out_c % c.groups != 0 || w.dims[1] != in.c / c.groups)
    n.fail("weights for " + std::to_string(w.dims[1]) + " input channels do not fit an input of " +
           std::to_string(in.c));
  const Windows windows = windows_of(n, in, kernel);
  c.kernel_h = windows.h.kernel, c.kernel_w = windows.w.kernel;
  c.stride_h = windows.h.stride, c.stride_w = windows.w.stride;
  c.dilation_h = windows.h.dilation, c.dilation_w = windows.w.dilation;
  c.pad_top = windows.h.before, c.pad_left = windows.w.before;
  c.pad_bottom = windows.h.after, c.pad_right = windows.w.after;
  c.weights = reals_of(n, w);
  c.bias.assign(static_cast<std::size_t>(c.out_c), 0.0);
  if (n.has_input(2)) {
    c.bias = reals_of(n, b.constant(n, 2));
    if (c.bias.size() != static_cast<std::size_t>(c.out_c)) n.fail("wrong number of biases");
  }
  if (const auto border = zero_border(b.network(), source)) {
    c.pad_top += border->top, c.pad_left += border->left;
    c.pad_bottom += border->bottom, c.pad_right += border->right;
    source = b.network().nodes[static_cast<std::size_t>(source)].inputs[0];
  }
  Dims dims = {c.out_c, windows.h.count};
  if (kernel.size() == 2) dims.push_back(windows.w.count);
  const int node = b.add(n.name(), std::move(c), {source}, windows.output(static_cast<int>(w.dims[0])));
  b.set_value(n, {node, std::move(dims)});
}

void import_batch_normalization(Builder& b, const OnnxNode& n) {
  Value v = b.value(n, 0);
  if (n.integer("training_mode", 0) != 0 || (n.opset() < 14 && n.outputs() > 1))
    n.fail("it is in training mode; export the model for inference (model.eval())");
  if (v.dims.empty()) n.fail("its input has no channels");
  const std::int64_t channels = v.dims[0];
  std::vector<double> constants[4];
  for (int i = 1; i <= 4; ++i) {
    constants[i - 1] = reals_of(n, b.constant(n, i));
    if (static_cast<std::int64_t>(constants[i - 1].size()) != channels) n.fail("wrong number of channel constants");
  }
  const double epsilon = n.real("epsilon", 1e-5);
  Dims along(v.dims.size(), 1);
  along[0] = channels;
  Constant scale{along, false, {}, {}}, shift = scale;
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    const double variance = constants[3][c] + epsilon;
    if (!(variance > 0)) n.fail("a variance is not positive");
    scale.reals.push_back(constants[0][c] / std::sqrt(variance));
    shift.reals.push_back(constants[1][c] - scale.reals.back() * constants[2][c]);
  }
  set_affine(b, n, v, scale, shift);
}

void import_dense(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const Constant& w = b.constant(n, 1);
  const bool gemm = n.op() == "Gemm";
  if (v.dims.empty() || (gemm && v.dims.size() != 1) ||
      count_of(n, v.dims, std::size_t{1} << 26) != static_cast<std::size_t>(v.dims.back()))
    n.fail("its input must be flattened first");
  if (w.dims.size() != 2 || w.dims[0] < 1 || w.dims[1] < 1 || w.dims[0] > kMaxChannels || w.dims[1] > kMaxChannels)
    n.fail("weights must be a matrix");
  if (gemm && n.integer("transA", 0) != 0) n.fail("transA is not supported");
  const bool transposed = gemm && n.integer("transB", 0) != 0;
  const double alpha = gemm ? n.real("alpha", 1) : 1, beta = gemm ? n.real("beta", 1) : 1;
  const int outputs = static_cast<int>(transposed ? w.dims[0] : w.dims[1]);
  const int inputs = static_cast<int>(transposed ? w.dims[1] : w.dims[0]);
  if (inputs != v.dims.back())
    n.fail("weights for " + std::to_string(inputs) + " inputs do not fit " + std::to_string(v.dims.back()));
  int source = b.flat(n, v);
  // A permutation of its inputs goes into the weights.
  std::vector<int> order;
  const Node& before = b.network().nodes[static_cast<std::size_t>(source)];
  if (const auto* r = std::get_if<Rearrange>(&before.op);
      r != nullptr && b.shape(before.inputs[0]).h == 1 && b.shape(before.inputs[0]).w == 1) {
    order = r->channels;
    source = before.inputs[0];
  }
  Dense d{outputs, b.shape(source).c, {}, std::vector<double>(static_cast<std::size_t>(outputs), 0.0)};
  d.weights.assign(static_cast<std::size_t>(d.out) * static_cast<std::size_t>(d.in), 0.0);
  const std::vector<double> values = reals_of(n, w);
  for (int o = 0; o < outputs; ++o)
    for (int i = 0; i < inputs; ++i) {
      const int from = order.empty() ? i : order[static_cast<std::size_t>(i)];
      if (from < 0) continue;
      d.weights[static_cast<std::size_t>(o) * d.in + from] +=
          alpha *
          values[transposed ? static_cast<std::size_t>(o) * inputs + i : static_cast<std::size_t>(i) * outputs + o];
    }
  if (gemm && n.has_input(2)) {
    d.bias = bias_of(n, b.constant(n, 2), outputs);
    for (double& x : d.bias) x *= beta;
  }
  Dims dims = v.dims;
  dims.back() = outputs;
  const int node = b.add(n.name(), std::move(d), {source}, {outputs, 1, 1});
  b.set_value(n, {node, std::move(dims)});
}

}  // namespace sotto::graph
