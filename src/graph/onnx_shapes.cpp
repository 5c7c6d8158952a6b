#include "graph/onnx_shapes.h"

#include <algorithm>
#include <numeric>

namespace sotto::graph {

std::size_t count_of(const OnnxNode& n, const Dims& dims, std::size_t most) {
  std::size_t count = 1;
  for (const std::int64_t d : dims) {
    if (d < 0) n.fail("a size is negative");
    if (d > 0 && count > most / static_cast<std::size_t>(d)) n.fail("its result is too large");
    count *= static_cast<std::size_t>(d);
  }
  return count;
}

std::vector<std::size_t> places(const Dims& dims, const Dims& strides, std::int64_t base) {
  std::vector<std::size_t> out;
  std::size_t count = 1;
  for (const std::int64_t d : dims) count *= static_cast<std::size_t>(d);
  out.reserve(count);
  Dims at(dims.size(), 0);
  for (std::int64_t place = base; out.size() < count;) {
    out.push_back(static_cast<std::size_t>(place));
    for (std::size_t k = dims.size(); k-- > 0;) {
      place += strides[k];
      if (++at[k] < dims[k]) break;
      place -= strides[k] * dims[k];
      at[k] = 0;
    }
  }
  return out;
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (std::size_t k = dims.size(); k-- > 1;) strides[k - 1] = strides[k] * dims[k];
  return strides;
}

Dims broadcast_strides(const OnnxNode& n, const Dims& from, const Dims& to) {
  if (from.size() > to.size()) n.fail("its operands do not broadcast");
  const Dims own = strides_of(from);
  Dims strides(to.size(), 0);
  const std::size_t extra = to.size() - from.size();
  for (std::size_t k = 0; k < from.size(); ++k) {
    if (from[k] == to[extra + k] && from[k] != 1)
      strides[extra + k] = own[k];
    else if (from[k] != 1)
      n.fail("its operands do not broadcast");
  }
  return strides;
}

Dims broadcast_shape(const OnnxNode& n, const Dims& a, const Dims& b) {
  const Dims &longer = a.size() < b.size() ? b : a, &shorter = a.size() < b.size() ? a : b;
  Dims out = longer;
  const std::size_t extra = longer.size() - shorter.size();
  for (std::size_t k = 0; k < shorter.size(); ++k) {
    std::int64_t& d = out[extra + k];
    if (d == 1)
      d = shorter[k];
    else if (shorter[k] != 1 && shorter[k] != d)
      n.fail("its operands do not broadcast");
  }
  return out;
}

Dims integers_of(const OnnxNode& n, const Constant* c) {
  Dims out;
  if (c == nullptr) return out;
  if (!c->integral) n.fail("an input must hold integers");
  for (const Integer& i : c->integers) {
    if (!i) n.fail("it depends on the batch size, which the model leaves free; export it with a fixed batch size of 1");
    out.push_back(*i);
  }
  return out;
}

std::vector<double> reals_of(const OnnxNode& n, const Constant& c) {
  if (!c.integral) return c.reals;
  const Dims integers = integers_of(n, &c);
  return {integers.begin(), integers.end()};
}

Dims axes_of(const OnnxNode& n, const Constant* input, std::size_t rank) {
  Dims axes = input != nullptr ? integers_of(n, input) : n.integers("axes").value_or(Dims{});
  for (std::int64_t& a : axes) a = axis_of(n, a, rank);
  std::ranges::sort(axes);
  if (std::ranges::adjacent_find(axes) != axes.end()) n.fail("an axis is named twice");
  return axes;
}

Constant shape_part(const OnnxNode& n, const std::vector<Integer>& dims) {
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto bound = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const std::int64_t start = bound(n.integer("start", 0)), end = std::max(start, bound(n.integer("end", rank)));
  return {{end - start}, true, {}, {dims.begin() + start, dims.begin() + end}};
}

std::vector<Run> slices_of(const OnnxNode& n, const std::vector<Integer>& dims,
                           const std::vector<const Constant*>& inputs) {
  const auto input = [&](std::size_t i) { return i < inputs.size() ? inputs[i] : nullptr; };
  const Dims starts = integers_of(n, input(1)), ends = integers_of(n, input(2));
  Dims axes = integers_of(n, input(3)), steps = integers_of(n, input(4));
  if (input(3) == nullptr) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (input(4) == nullptr) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    n.fail("its starts, ends, axes and steps differ in number");
  std::vector<Run> runs;
  for (std::size_t k = 0; k < starts.size(); ++k) {
    const std::int64_t axis = axis_of(n, axes[k], dims.size()), step = steps[k];
    const Integer& known = dims[static_cast<std::size_t>(axis)];
    if (!known) {
      if (starts[k] != 0 || ends[k] < INT32_MAX || step != 1) n.fail("it takes part of the batch");
      continue;
    }
    const std::int64_t size = *known;
    if (step == 0) n.fail("its step is 0");
    // Positions may count from the back and lie outside; a step beyond the axis is as good as one over it.
    const auto bound = [&](std::int64_t v, std::int64_t least, std::int64_t most) {
      return std::clamp(v < 0 ? v + size : v, least, std::max(least, most));
    };
    const bool forward = step > 0;
    const std::int64_t first = bound(starts[k], 0, forward ? size : size - 1);
    const std::int64_t last = bound(ends[k], forward ? 0 : -1, forward ? size : size - 1);
    const std::int64_t width = forward ? std::min(step, size + 1) : std::min(size + 1, -std::max(step, -size - 1));
    const std::int64_t span = size == 0 ? 0 : forward ? last - first : first - last;
    if (std::ranges::any_of(runs, [&](const Run& r) { return r.axis == axis; })) n.fail("an axis is named twice");
    runs.push_back({axis, first, forward ? width : -width, span <= 0 ? 0 : (span - 1) / width + 1});
  }
  return runs;
}

std::vector<Run> split_of(const OnnxNode& n, std::int64_t axis, std::int64_t size, const Constant* sizes) {
  Dims parts = sizes != nullptr ? integers_of(n, sizes) : n.integers("split").value_or(Dims{});
  const bool sequence = n.op() == "SplitToSequence";
  // Without sizes, or with one for all: parts of equal size, the last one smaller.
  if (parts.empty() || (sequence && sizes != nullptr && sizes->dims.empty())) {
    const std::int64_t outputs = std::max(n.outputs(), 1);
    const std::int64_t each = parts.empty() ? sequence ? 1 : (size + outputs - 1) / outputs : parts[0];
    if (each < 1) n.fail("its parts do not fit the axis");
    for (parts.clear(); static_cast<std::int64_t>(parts.size()) * each < size;)
      parts.push_back(std::min(each, size - static_cast<std::int64_t>(parts.size()) * each));
  }
  if (!sequence && static_cast<int>(parts.size()) != n.outputs()) n.fail("its parts and outputs differ in number");
  std::vector<Run> runs;
  std::int64_t start = 0;
  for (const std::int64_t part : parts) {
    if (part < 0 || part > size - start) n.fail("its parts do not fit the axis");
    runs.push_back({axis, start, 1, part});
    start += part;
  }
  if (start != size) n.fail("its parts do not fit the axis");
  return runs;
}

Dims permutation_of(const OnnxNode& n, std::size_t rank) {
  Dims reversed(rank);
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  const Dims order = n.integers("perm").value_or(reversed);
  Dims sorted = order;
  std::ranges::sort(sorted);
  std::ranges::reverse(sorted);
  if (sorted != reversed) n.fail("its order of axes is no permutation");
  return order;
}

}  // namespace sotto::graph
