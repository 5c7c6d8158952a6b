#include "graph/onnx_windows.h"

#include <algorithm>

#include "graph/onnx_limits.h"

namespace sotto::graph {

namespace {

// An attribute of `count` numbers; `otherwise` each where it is absent.
std::vector<int> numbers(const OnnxNode& n, const std::string& name, std::size_t count, int otherwise) {
  const auto given = n.integers(name);
  if (!given) return std::vector<int>(count, otherwise);
  if (given->size() != count) n.fail("attribute " + name + " must have " + std::to_string(count) + " values");
  for (const std::int64_t v : *given)
    if (v < -kMaxDim || v > kMaxDim) n.fail("attribute " + name + " is out of range");
  return {given->begin(), given->end()};
}

void place(const OnnxNode& n, WindowAxis& a, const std::string& auto_pad, bool ceil) {
  const int span = a.dilation * (a.kernel - 1) + 1;
  if (a.kernel < 1 || a.stride < 1 || a.dilation < 1 || a.before < 0 || a.after < 0)
    n.fail("its window does not make sense");
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    const int count = (a.size + a.stride - 1) / a.stride, total = std::max((count - 1) * a.stride + span - a.size, 0);
    a.before = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    a.after = total - a.before;
  }
  const int room = a.size + a.before + a.after - span;
  if (room < 0 && !(ceil && room > -a.stride)) n.fail("its window does not fit the input");
  a.count = room < 0 ? 0 : room / a.stride + 1;
  // One more window for what is left over, unless it would start behind the input.
  if (ceil && room % a.stride != 0 && a.count * a.stride < a.size + a.before) {
    a.beyond = a.count * a.stride - room;
    ++a.count;
  }
}

}  // namespace

Windows windows_of(const OnnxNode& n, const Shape& input, const Dims& kernel) {
  const std::size_t axes = kernel.size();
  const std::string auto_pad = n.text("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID" && auto_pad != "SAME_UPPER" && auto_pad != "SAME_LOWER")
    n.fail("auto_pad " + auto_pad + " is not known");
  for (const std::int64_t k : kernel)
    if (k < 1 || k > kMaxDim) n.fail("its window does not make sense");
  const auto strides = numbers(n, "strides", axes, 1), dilations = numbers(n, "dilations", axes, 1);
  auto pads = numbers(n, "pads", 2 * axes, 0);
  if (auto_pad != "NOTSET") pads.assign(2 * axes, 0);
  const bool ceil = n.integer("ceil_mode", 0) != 0;
  Windows out;
  out.h.size = input.h;
  out.w.size = input.w;
  for (std::size_t k = 0; k < axes; ++k) {
    WindowAxis& a = k == 0 ? out.h : out.w;
    a.kernel = static_cast<int>(kernel[k]);
    a.stride = strides[k];
    a.dilation = dilations[k];
    a.before = pads[k];
    a.after = pads[k + axes];
    place(n, a, auto_pad, ceil);
  }
  return out;
}

std::optional<ZeroBorder> zero_border(const Network& network, int node) {
  const Node& n = network.nodes[static_cast<std::size_t>(node)];
  const auto* r = std::get_if<Rearrange>(&n.op);
  if (r == nullptr || r->stride_h != 1 || r->stride_w != 1) return std::nullopt;
  const Shape& in = network.nodes[static_cast<std::size_t>(n.inputs[0])].shape;
  if (r->channels.size() != static_cast<std::size_t>(in.c)) return std::nullopt;
  for (int c = 0; c < in.c; ++c)
    if (r->channels[static_cast<std::size_t>(c)] != c) return std::nullopt;
  const ZeroBorder border{r->pad_top, r->pad_left, n.shape.h - in.h - r->pad_top, n.shape.w - in.w - r->pad_left};
  if (std::min({border.top, border.left, border.bottom, border.right}) < 0) return std::nullopt;
  return border;
}

}  // namespace sotto::graph
