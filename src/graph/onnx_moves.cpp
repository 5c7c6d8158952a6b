// Operators that move, pick, repeat and join elements: all of them become Rearrange and Concat.
#include <algorithm>
#include <numeric>

#include "graph/onnx_limits.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_parts.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

constexpr std::int64_t kZero = -1;  // in place of a position: a zero

// The map y -> y * stride - pad, of which positions outside [0, size) are zeros.
struct Line {
  int stride = 1, pad = 0;

  [[nodiscard]] std::int64_t at(std::int64_t y, std::int64_t size) const {
    const std::int64_t from = y * stride - pad;
    return from >= 0 && from < size ? from : kZero;
  }
};

// The line through positions along an axis of this size, if they lie on one.
std::optional<Line> line_of(const Dims& positions, std::int64_t size) {
  const auto first = std::ranges::find_if(positions, [](std::int64_t p) { return p != kZero; });
  if (first == positions.end()) return std::nullopt;
  const std::int64_t y = first - positions.begin();
  const bool more = first + 1 != positions.end() && first[1] != kZero;
  // A lone position has zeros as neighbours: the stride leads out of the input if need be.
  for (const std::int64_t stride : {more ? first[1] - first[0] : 1, size}) {
    if (stride < 1 || stride > kMaxDim) continue;
    const Line line{static_cast<int>(stride), static_cast<int>(y * stride - *first)};
    bool fits = true;
    for (std::size_t k = 0; k < positions.size() && fits; ++k)
      fits = line.at(static_cast<std::int64_t>(k), size) == positions[k];
    if (fits) return line;
  }
  return std::nullopt;
}

// Two lines, one after the other over an axis of `middle`, as one; nullopt if that is not the same.
std::optional<Line> joined(const Line& first, std::int64_t size, const Line& second, std::int64_t middle,
                           std::int64_t count) {
  Dims positions;
  for (std::int64_t y = 0; y < count; ++y) {
    const std::int64_t m = second.at(y, middle);
    positions.push_back(m == kZero ? kZero : first.at(m, size));
  }
  return line_of(positions, size);
}

// Adds a Rearrange, or extends the one before it, or adds nothing if it would change nothing.
int add_rearrange(Builder& b, const OnnxNode& n, int node, std::vector<int> channels, const Line& h, const Line& w,
                  const Shape& out) {
  const Node& before = b.network().nodes[static_cast<std::size_t>(node)];
  if (const auto* r = std::get_if<Rearrange>(&before.op)) {
    const Shape in = b.shape(before.inputs[0]);
    const auto y = joined({r->stride_h, r->pad_top}, in.h, h, before.shape.h, out.h);
    const auto x = joined({r->stride_w, r->pad_left}, in.w, w, before.shape.w, out.w);
    if (y && x) {
      for (int& c : channels)
        if (c >= 0) c = r->channels[static_cast<std::size_t>(c)];
      return add_rearrange(b, n, before.inputs[0], std::move(channels), *y, *x, out);
    }
  }
  bool same = out == b.shape(node) && h.stride == 1 && h.pad == 0 && w.stride == 1 && w.pad == 0;
  for (std::size_t c = 0; c < channels.size() && same; ++c) same = channels[c] == static_cast<int>(c);
  if (same) return node;
  return b.add(n.name(), Rearrange{std::move(channels), h.stride, w.stride, h.pad, w.pad}, {node}, out);
}

std::vector<int> counted(int channels) {
  std::vector<int> all(static_cast<std::size_t>(channels));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// The value with these positions along an axis (of an image); kZero for zeros.
Value take(Builder& b, const OnnxNode& n, Value v, std::size_t axis, const Dims& positions) {
  const auto count = static_cast<std::int64_t>(positions.size());
  const std::int64_t size = v.dims[axis];
  if (count < 1) n.fail("nothing is left of its input");
  bool same = count == size;
  for (std::size_t k = 0; k < positions.size() && same; ++k) same = positions[k] == static_cast<std::int64_t>(k);
  if (same) return v;
  auto parts = parts_of(b.shape(v.node), v.dims);
  if (!parts || (*parts)[axis] == Part::pixels) {
    v.node = b.flat(n, v);
    parts = parts_of(b.shape(v.node), v.dims);
  }
  Shape out = b.shape(v.node);
  const Shape in = out;
  std::vector<int> channels;
  Line h, w;
  Part part = (*parts)[axis];
  // An axis of size 1 can be height or width of a map, or else one of channels before all pixels.
  if (part == Part::none && v.dims.size() == 3 && axis != 0) part = axis == 1 ? Part::height : Part::width;
  const auto pixels = [](Part p) { return p == Part::height || p == Part::width || p == Part::pixels; };
  const bool free = part == Part::height ? size == in.h
                    : part == Part::width
                        ? size == in.w
                        : std::none_of(parts->begin(), parts->begin() + static_cast<std::ptrdiff_t>(axis), pixels);
  if (!free) n.fail("it does not fit channels, height and width");
  if (part == Part::height || part == Part::width) {
    const auto line = count <= kMaxDim ? line_of(positions, size) : std::nullopt;
    if (!line) n.fail("of height and width only every k-th row or column, in order, can be taken");
    channels = counted(in.c);
    (part == Part::height ? h : w) = *line;
    (part == Part::height ? out.h : out.w) = static_cast<int>(count);
  } else {
    Dims dims = v.dims;
    for (std::size_t k = 0; k < dims.size(); ++k)
      if (pixels((*parts)[k])) dims[k] = 1;
    dims[axis] = count;
    if (count_of(n, dims, kMaxChannels) == 0) n.fail("nothing is left of its input");
    const std::int64_t inner = strides_of(dims)[axis];
    for (std::int64_t o = 0, outer = in.c / (size * inner); o < outer; ++o)
      for (const std::int64_t p : positions)
        for (std::int64_t i = 0; i < inner; ++i)
          channels.push_back(p == kZero ? -1 : static_cast<int>((o * size + p) * inner + i));
    out.c = static_cast<int>(channels.size());
  }
  v.node = add_rearrange(b, n, v.node, std::move(channels), h, w, out);
  v.dims[axis] = count;
  v.view.clear();
  return v;
}

Dims positions_of(const Run& r) {
  Dims positions;
  for (std::int64_t k = 0; k < r.count; ++k) positions.push_back(r.start + k * r.step);
  return positions;
}

// Whether a constant holds only zeros.
bool zeros(const OnnxNode& n, const Constant& c) {
  return std::ranges::all_of(reals_of(n, c), [](double x) { return x == 0; });
}

}  // namespace

void import_pad(Builder& b, const OnnxNode& n) {
  Value v = b.value(n, 0);
  if (n.text("mode", "constant") != "constant")
    n.fail("padding by " + n.text("mode", "") + " does not run encrypted; pad with zeros and retrain");
  const Constant* fill = n.has_input(2) ? &b.constant(n, 2) : nullptr;
  if (fill != nullptr && !zeros(n, *fill)) n.fail("padding by other values than 0 does not run encrypted");
  const Dims pads = integers_of(n, &b.constant(n, 1));
  const std::size_t rank = v.dims.size() + 1;
  Dims axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (n.has_input(3)) {
    axes = integers_of(n, &b.constant(n, 3));
    for (std::int64_t& a : axes) a = axis_of(n, a, rank);
  }
  if (pads.size() != 2 * axes.size()) n.fail("it must have two pads for each axis");
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const std::int64_t before = pads[k], after = pads[k + axes.size()];
    if (before == 0 && after == 0) continue;
    if (axes[k] == 0) n.fail("it pads the batch");
    const auto axis = static_cast<std::size_t>(axes[k]) - 1;
    const std::int64_t size = v.dims[axis];
    if (std::max(before, after) > kMaxChannels || std::min(before, after) < -kMaxChannels)
      n.fail("its pads are out of range");
    Dims positions;
    for (std::int64_t p = -before; p < size + after; ++p) positions.push_back(p < 0 || p >= size ? kZero : p);
    v = take(b, n, std::move(v), axis, positions);
  }
  b.set_value(n, std::move(v));
}

void import_slice(Builder& b, const OnnxNode& n) {
  Value v = b.raw_value(n, 0);
  std::vector<const Constant*> inputs(1, nullptr);
  for (int i = 1; i < n.inputs(); ++i) inputs.push_back(n.has_input(i) ? &b.constant(n, i) : nullptr);
  if (inputs.size() < 3) n.fail("an input is missing");
  std::vector<Integer> dims(v.dims.begin(), v.dims.end());
  dims.insert(dims.begin(), b.batch());
  for (const Run& r : slices_of(n, dims, inputs)) {
    if (r.axis != 0)
      v = take(b, n, std::move(v), static_cast<std::size_t>(r.axis) - 1, positions_of(r));
    else if (r.start != 0 || r.count != *b.batch())
      n.fail("it takes part of the batch");
  }
  b.set_value(n, std::move(v));
}

void import_split(Builder& b, const OnnxNode& n) {
  const Value& v = b.raw_value(n, 0);
  const std::int64_t axis = axis_of(n, n.integer("axis", 0), v.dims.size() + 1);
  if (axis == 0) n.fail("it splits the batch");
  const auto k = static_cast<std::size_t>(axis) - 1;
  const auto runs = split_of(n, axis, v.dims[k], n.has_input(1) ? &b.constant(n, 1) : nullptr);
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (!n.output(static_cast<int>(i)).empty())
      b.set_value(n, take(b, n, v, k, positions_of(runs[i])), static_cast<int>(i));
}

void import_split_to_sequence(Builder& b, const OnnxNode& n) {
  const Value& v = b.raw_value(n, 0);
  const std::int64_t axis = axis_of(n, n.integer("axis", 0), v.dims.size() + 1);
  if (axis == 0) n.fail("it splits the batch");
  const auto k = static_cast<std::size_t>(axis) - 1;
  const Constant* sizes = n.has_input(1) ? &b.constant(n, 1) : nullptr;
  if (sizes == nullptr && n.integer("keepdims", 1) == 0) n.fail("parts without their axis are not supported");
  std::vector<Value> parts;
  for (const Run& r : split_of(n, axis, v.dims[k], sizes)) parts.push_back(take(b, n, v, k, positions_of(r)));
  b.set_sequence(n, std::move(parts));
}

void import_sequence_at(Builder& b, const OnnxNode& n) {
  const std::vector<Value>& values = b.sequence(n, 0);
  const Dims at = integers_of(n, &b.constant(n, 1));
  if (at.size() != 1) n.fail("its index must be one number");
  b.set_value(n, values[static_cast<std::size_t>(axis_of(n, at[0], values.size()))]);
}

void import_gather(Builder& b, const OnnxNode& n) {
  Value v = b.raw_value(n, 0);
  const Constant& which = b.constant(n, 1);
  const std::int64_t axis = axis_of(n, n.integer("axis", 0), v.dims.size() + 1);
  if (axis == 0) n.fail("it picks images of the batch");
  if (which.dims.size() > 1) n.fail("its indices must be a list or one number");
  const auto k = static_cast<std::size_t>(axis) - 1;
  Dims positions = integers_of(n, &which);
  for (std::int64_t& p : positions) p = axis_of(n, p, static_cast<std::size_t>(v.dims[k]));
  v = take(b, n, std::move(v), k, positions);
  if (which.dims.empty()) {
    v.dims.erase(v.dims.begin() + static_cast<std::ptrdiff_t>(k));
    v.view = n.name();
  }
  b.set_value(n, std::move(v));
}

void import_transpose(Builder& b, const OnnxNode& n) {
  Value v = b.raw_value(n, 0);
  Dims order = permutation_of(n, v.dims.size() + 1);
  if (order.front() != 0) n.fail("it moves the batch to another axis");
  order.erase(order.begin());
  Dims dims;
  for (std::int64_t& a : order) dims.push_back(v.dims[static_cast<std::size_t>(--a)]);
  // A picture with channels behind: as Sotto feeds it, it has them in front already.
  const bool last = v.dims.size() == 3 && (v.dims[2] == 1 || v.dims[2] == 3 || v.dims[2] == 4);
  if (last && order == Dims{2, 0, 1} && b.turn_input(v.dims)) {
    v.dims = dims;
    return b.set_value(n, std::move(v));
  }
  // Axes of size 1 may go anywhere. Pixels must stay behind all channels and in order, else all is one vector.
  const auto moved = [&](const std::vector<Part>& parts) {
    std::vector<std::int64_t> pixels;
    for (const std::int64_t a : order) {
      const Part part = parts[static_cast<std::size_t>(a)];
      if (part == Part::channels && !pixels.empty()) return false;
      if (part != Part::channels && part != Part::none) pixels.push_back(a);
    }
    return std::ranges::is_sorted(pixels);
  };
  auto parts = parts_of(b.shape(v.node), v.dims);
  if (!parts || !moved(*parts)) {
    v.node = b.flat(n, v);
    parts = parts_of(b.shape(v.node), v.dims);
  }
  Dims sizes, strides;  // of the channels alone
  Dims in = v.dims;
  for (std::size_t k = 0; k < in.size(); ++k)
    if ((*parts)[k] != Part::channels) in[k] = 1;
  const Dims own = strides_of(in);
  for (const std::int64_t a : order) {
    sizes.push_back(in[static_cast<std::size_t>(a)]);
    strides.push_back(own[static_cast<std::size_t>(a)]);
  }
  std::vector<int> channels;
  for (const std::size_t c : places(sizes, strides)) channels.push_back(static_cast<int>(c));
  const Shape s = b.shape(v.node);
  v.node = add_rearrange(b, n, v.node, std::move(channels), {}, {}, s);
  v.dims = std::move(dims);
  v.view = n.name();
  b.set_value(n, std::move(v));
}

void import_concat(Builder& b, const OnnxNode& n) {
  std::vector<Value> values;    // in order
  std::vector<Dims> constants;  // dimensions of zeros, by place
  std::vector<bool> constant;
  for (int i = 0; i < n.inputs(); ++i) {
    const Constant* c = b.find_constant(n, i);
    constant.push_back(c != nullptr);
    if (c == nullptr) {
      values.push_back(b.value(n, i));
      continue;
    }
    if (!zeros(n, *c)) n.fail("only constants of zeros can be joined to a value");
    if (c->dims.empty() || c->dims[0] != b.batch().value_or(1)) n.fail("its inputs do not fit together");
    constants.emplace_back(c->dims.begin() + 1, c->dims.end());
  }
  const std::size_t rank = values.front().dims.size() + 1;
  const std::int64_t given = n.integer("axis", 1), axis = axis_of(n, given, rank);
  if (axis == 0) n.fail("it joins batches");
  const auto k = static_cast<std::size_t>(axis) - 1;
  const auto fits = [&](Dims d) {
    if (d.size() != rank - 1) return false;
    d[k] = values.front().dims[k];
    return d == values.front().dims;
  };
  for (const Value& v : values)
    if (!fits(v.dims)) n.fail("its inputs do not fit together");
  for (const Dims& d : constants)
    if (!fits(d)) n.fail("its inputs do not fit together");
  // One behind the other in memory, if no larger axis comes before the joined one.
  for (std::size_t j = 0; j < k; ++j)
    if (values.front().dims[j] != 1) n.fail("only channels can be joined");
  const Shape first = b.shape(values.front().node);
  const bool maps = std::ranges::all_of(values, [&](const Value& v) {
    const Shape s = b.shape(v.node);
    return s.h == first.h && s.w == first.w && v.dims[k] * strides_of(v.dims)[k] == static_cast<std::int64_t>(s.size());
  });
  std::vector<int> inputs;
  Shape out{0, maps ? first.h : 1, maps ? first.w : 1};
  for (const Value& v : values) {
    inputs.push_back(maps ? v.node : b.flat(n, v));
    out.c += b.shape(inputs.back()).c;
    if (out.c > kMaxChannels) n.fail("its result has too many channels");
  }
  // Zeros come between the joined values.
  std::vector<int> channels;
  std::int64_t size = 0;
  int next = 0;
  for (std::size_t i = 0, v = 0, z = 0; i < constant.size(); ++i) {
    const Dims& dims = constant[i] ? constants[z++] : values[v].dims;
    size += dims[k];
    const std::int64_t pixels = static_cast<std::int64_t>(out.h) * out.w, count = dims[k] * strides_of(dims)[k];
    if (count % pixels != 0 || count / pixels > kMaxChannels) n.fail("its result has too many channels");
    for (std::int64_t c = 0; c < count / pixels; ++c) channels.push_back(constant[i] ? -1 : next++);
    if (!constant[i]) ++v;
  }
  const int node = inputs.size() == 1 ? inputs[0] : b.add(n.name(), Concat{}, inputs, out);
  out.c = static_cast<int>(channels.size());
  Dims dims = values.front().dims;
  dims[k] = size;
  b.set_value(n, {add_rearrange(b, n, node, std::move(channels), {}, {}, out), std::move(dims)});
}

}  // namespace sotto::graph
