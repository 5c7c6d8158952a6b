// Means over windows and over whole axes.
#include <algorithm>

#include "graph/onnx_affine.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_parts.h"
#include "graph/onnx_shapes.h"
#include "graph/onnx_windows.h"

namespace sotto::graph {

namespace {

// Whether a node is the mean over whole rows or columns alone, which a mean over the other axis completes.
bool completes(const Network& network, int node, bool rows) {
  const Node& n = network.nodes[static_cast<std::size_t>(node)];
  const auto* p = std::get_if<AveragePool>(&n.op);
  if (p == nullptr || p->pad_top != 0 || p->pad_left != 0 || p->pad_bottom != 0 || p->pad_right != 0) return false;
  const Shape& in = network.nodes[static_cast<std::size_t>(n.inputs[0])].shape;
  return rows ? p->kernel_h == in.h && p->kernel_w == 1 && p->stride_w == 1
              : p->kernel_w == in.w && p->kernel_h == 1 && p->stride_h == 1;
}

// The mean over height, width or both of a node.
int mean(Builder& b, const OnnxNode& n, int node, bool h, bool w) {
  const Shape in = b.shape(node);
  h = h && in.h != 1;
  w = w && in.w != 1;
  if (!h && !w) return node;
  if (h != w && (completes(b.network(), node, w) || (h ? in.w == 1 : in.h == 1))) {
    if (completes(b.network(), node, w)) node = b.network().nodes[static_cast<std::size_t>(node)].inputs[0];
    h = w = true;
  }
  const Shape out{in.c, h ? 1 : in.h, w ? 1 : in.w};
  if (h && w) return b.add(n.name(), GlobalAveragePool{}, {node}, out);
  AveragePool p;
  p.kernel_h = h ? in.h : 1;
  p.kernel_w = w ? in.w : 1;
  return b.add(n.name(), p, {node}, out);
}

}  // namespace

void import_average_pool(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  int source = b.map(n, v);
  const Shape in = b.shape(source);
  const std::optional<Dims> kernel = n.integers("kernel_shape");
  if (!kernel || kernel->size() + 1 != v.dims.size()) n.fail("kernel_shape does not fit the input");
  Windows windows = windows_of(n, in, *kernel);
  for (const WindowAxis* a : {&windows.h, &windows.w}) {
    if (a->dilation != 1) n.fail("dilation is not supported");
    if (a->before >= a->kernel || a->after >= a->kernel) n.fail("pads must be smaller than the kernel");
  }
  Dims dims = {v.dims[0], windows.h.count};
  if (kernel->size() == 2) dims.push_back(windows.w.count);
  const auto border = zero_border(b.network(), source);
  if (!border && !windows.padded() && windows.h.kernel == in.h && windows.w.kernel == in.w)
    return b.set_value(n, {mean(b, n, source, true, true), std::move(dims)});
  bool count_pad = n.integer("count_include_pad", 0) != 0;
  const bool beyond = windows.h.beyond != 0 || windows.w.beyond != 0;
  // Zeros that a Pad node puts around the map count like pixels. They merge into padding if that counts, too.
  if (border && !beyond && (count_pad || !windows.padded())) {
    windows.h.before += border->top, windows.w.before += border->left;
    windows.h.after += border->bottom, windows.w.after += border->right;
    source = b.network().nodes[static_cast<std::size_t>(source)].inputs[0];
    count_pad = true;
  }
  // What a window covers behind the padding never counts: padding that does becomes part of the map.
  if (beyond && count_pad && windows.padded()) {
    const Shape padded{in.c, in.h + windows.h.before + windows.h.after, in.w + windows.w.before + windows.w.after};
    const Rearrange zeros{all_channels(in.c), 1, 1, windows.h.before, windows.w.before};
    source = b.add(n.name(), zeros, {source}, padded);
    windows.h.before = windows.h.after = windows.w.before = windows.w.after = 0;
  }
  const AveragePool pool{windows.h.kernel,
                         windows.w.kernel,
                         windows.h.stride,
                         windows.w.stride,
                         windows.h.before,
                         windows.w.before,
                         windows.h.after + windows.h.beyond,
                         windows.w.after + windows.w.beyond,
                         count_pad && !beyond};
  const int node = b.add(n.name(), pool, {source}, windows.output(in.c));
  b.set_value(n, {node, std::move(dims)});
}

void import_global_average_pool(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const int source = b.map(n, v);
  Dims dims(v.dims.size(), 1);
  dims[0] = v.dims[0];
  b.set_value(n, {mean(b, n, source, true, true), std::move(dims)});
}

void import_reduce(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  if (n.has_input(1)) b.constant(n, 1);
  const Dims axes = axes_of(n, b.find_constant(n, 1), v.dims.size() + 1);
  if (axes.empty() && n.integer("noop_with_empty_axes", 0) != 0) return b.set_value(n, v);
  const auto parts = parts_of(b.shape(v.node), v.dims);
  bool h = false, w = false, whole = parts.has_value() && !axes.empty() && axes.front() != 0;
  Dims dims;
  for (std::size_t k = 0; k < v.dims.size() && whole; ++k) {
    const bool reduced = std::ranges::binary_search(axes, static_cast<std::int64_t>(k) + 1);
    const Part part = (*parts)[k];
    if (!reduced) dims.push_back(v.dims[k]);
    if (reduced && n.integer("keepdims", 1) != 0) dims.push_back(1);
    if (!reduced) continue;
    h = h || part == Part::height || part == Part::pixels;
    w = w || part == Part::width || part == Part::pixels;
    whole = part != Part::channels;
  }
  if (!whole) n.fail("only means and sums over height and width are supported");
  const Shape in = b.shape(v.node);
  const int node = mean(b, n, v.node, h, w);
  if (n.op() == "ReduceMean") return b.set_value(n, {node, std::move(dims)});
  const double count = static_cast<double>(h ? in.h : 1) * (w ? in.w : 1);
  set_affine(b, n, {node, std::move(dims)}, {{}, false, {count}, {}}, {{}, false, {0}, {}});
}

}  // namespace sotto::graph
