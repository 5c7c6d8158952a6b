// Maxima over windows, in stages: max(a, b) = b + relu(a - b).
#include <algorithm>
#include <string>

#include "graph/onnx_affine.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_parts.h"
#include "graph/onnx_windows.h"

namespace sotto::graph {

namespace {

int maximum(Builder& b, const OnnxNode& n, int first, int second) {
  const Shape s = b.shape(first);
  const int difference = b.add(n.name(), Sum{}, {first, b.add(n.name(), negative(s.c), {second}, s)}, s);
  const int above = b.add(n.name(), Function::of(Function::Kind::relu), {difference}, s);
  return b.add(n.name(), Sum{}, {second, above}, s);
}

// The largest numbers along one axis: of all taps of the windows, pair by pair.
int maxima(Builder& b, const OnnxNode& n, int source, const WindowAxis& a, bool vertical) {
  if (a.kernel == 1 && a.stride == 1) return source;
  const Shape in = b.shape(source);
  const Shape out{in.c, vertical ? a.count : in.h, vertical ? in.w : a.count};
  std::vector<int> taps;
  for (int k = 0; k < a.kernel; ++k) {
    const int pad = a.before - k * a.dilation;
    taps.push_back(b.add(n.name(),
                         vertical ? Rearrange{all_channels(in.c), a.stride, 1, pad, 0}
                                  : Rearrange{all_channels(in.c), 1, a.stride, 0, pad},
                         {source}, out));
  }
  while (taps.size() > 1) {
    std::vector<int> pairs;
    for (std::size_t k = 0; k + 1 < taps.size(); k += 2) pairs.push_back(maximum(b, n, taps[k], taps[k + 1]));
    if (taps.size() % 2 != 0) pairs.push_back(taps.back());
    taps = std::move(pairs);
  }
  return taps.front();
}

bool never_negative(const Function& f) {
  if (f.steps.size() != 1) return false;
  using Kind = Function::Kind;
  switch (f.steps.front().kind) {
    case Kind::relu:
    case Kind::softplus:
    case Kind::sigmoid:
    case Kind::hard_sigmoid:
    case Kind::abs:
    case Kind::exp:
      return true;
    case Kind::clip:
      return f.steps.front().alpha >= 0;
    default:
      return false;
  }
}

// Whether no number of a node is negative, so that zeros around it change no maximum.
bool never_negative(const Network& network, int node) {
  std::vector<bool> known;
  const auto none = [](const std::vector<double>& values) {
    return std::ranges::all_of(values, [](double v) { return v >= 0; });
  };
  for (int k = 0; k <= node; ++k) {
    const Node& n = network.nodes[static_cast<std::size_t>(k)];
    const bool inputs = !n.inputs.empty() &&
                        std::ranges::all_of(n.inputs, [&](int i) { return bool{known[static_cast<std::size_t>(i)]}; });
    bool result = false;
    if (const auto* f = std::get_if<Function>(&n.op))
      result = never_negative(*f);
    else if (std::holds_alternative<Product>(n.op))
      result = inputs || n.inputs[0] == n.inputs[1];
    else if (const auto* a = std::get_if<ChannelAffine>(&n.op))
      result = inputs && none(a->scale) && none(a->shift);
    else if (std::holds_alternative<Sum>(n.op) || std::holds_alternative<Concat>(n.op) ||
             std::holds_alternative<Rearrange>(n.op) || std::holds_alternative<AveragePool>(n.op) ||
             std::holds_alternative<GlobalAveragePool>(n.op) || std::holds_alternative<Flatten>(n.op))
      result = inputs;
    known.push_back(result);
  }
  return known.back();
}

void add_maxima(Builder& b, const OnnxNode& n, int source, const Windows& w, Dims dims) {
  // Columns first: they leave smaller maps to the rows.
  const int node = maxima(b, n, maxima(b, n, source, w.w, false), w.h, true);
  if (node == source) return b.set_value(n, {node, std::move(dims)});
  b.note(
      n.op() +
      " runs as maxima of pairs, each by the polynomials of a Relu: where AveragePool will do it takes far less time");
  b.set_value(n, {node, std::move(dims)});
}

}  // namespace

void import_max_pool(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const int source = b.map(n, v);
  const std::optional<Dims> kernel = n.integers("kernel_shape");
  if (!kernel || kernel->size() + 1 != v.dims.size()) n.fail("kernel_shape does not fit the input");
  if (n.proto().output_size() > 1 && !n.proto().output(1).empty()) n.fail("the places of maxima are not computed");
  const Windows windows = windows_of(n, b.shape(source), *kernel);
  const bool beyond = windows.h.beyond != 0 || windows.w.beyond != 0;
  if ((windows.padded() || beyond) && !never_negative(b.network(), source))
    n.fail(std::string(beyond ? "what its windows reach beyond the map (ceil_mode)" : "padding") +
           " counts as zeros here, which is right only where nothing is negative; leave it out, or put a Relu before");
  Dims dims = {v.dims[0], windows.h.count};
  if (kernel->size() == 2) dims.push_back(windows.w.count);
  add_maxima(b, n, source, windows, std::move(dims));
}

void import_global_max_pool(Builder& b, const OnnxNode& n) {
  const Value& v = b.value(n, 0);
  const int source = b.map(n, v);
  const Shape in = b.shape(source);
  Dims dims(v.dims.size(), 1);
  dims[0] = v.dims[0];
  const auto whole = [](int size) { return WindowAxis{.size = size, .kernel = size, .stride = size, .count = 1}; };
  add_maxima(b, n, source, {whole(in.h), whole(in.w)}, std::move(dims));
}

}  // namespace sotto::graph
