#include "graph/onnx_fold.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "graph/onnx_file.h"
#include "graph/onnx_fold_math.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

using Inputs = std::vector<const Constant*>;

const Constant& given(const OnnxNode& n, const Inputs& in, std::size_t i) {
  if (i >= in.size() || in[i] == nullptr) n.fail("an input is missing");
  return *in[i];
}
const Constant* optional(const Inputs& in, std::size_t i) { return i < in.size() ? in[i] : nullptr; }

Constant integers(Dims dims, std::vector<Integer> values) { return {std::move(dims), true, {}, std::move(values)}; }

// The elements of `c` at these places, in a new shape.
Constant pick(const Constant& c, Dims dims, const std::vector<std::size_t>& from) {
  Constant out{std::move(dims), c.integral, {}, {}};
  if (c.integral) {
    out.integers.reserve(from.size());
    for (const std::size_t i : from) out.integers.push_back(c.integers[i]);
  } else {
    out.reals.reserve(from.size());
    for (const std::size_t i : from) out.reals.push_back(c.reals[i]);
  }
  return out;
}

Constant reshaped(const Constant& c, Dims dims) {
  Constant out = c;
  out.dims = std::move(dims);
  return out;
}

// Each function computes one output from the inputs; `most` bounds its size.
Constant constant(const OnnxNode& n, const Inputs&, std::size_t) {
  if (const auto* a = n.attribute("value")) return read_tensor(a->t(), "node '" + n.name() + "'", ExternalData({}));
  if (n.attribute("value_float") != nullptr) return {{}, false, {n.real("value_float", 0)}, {}};
  if (n.attribute("value_int") != nullptr) return integers({}, {n.integer("value_int", 0)});
  if (const auto* a = n.attribute("value_floats"))
    return {{a->floats_size()}, false, {a->floats().begin(), a->floats().end()}, {}};
  if (const auto* a = n.attribute("value_ints"))
    return integers({a->ints_size()}, {a->ints().begin(), a->ints().end()});
  n.fail("this kind of constant is not supported");
}

Constant identity(const OnnxNode& n, const Inputs& in, std::size_t) { return given(n, in, 0); }

Constant to_integers(const OnnxNode& n, const Constant& c) {
  if (c.integral) return c;
  Constant out = integers(c.dims, {});
  for (const double r : c.reals) {
    if (std::abs(r) > 0x1p31) n.fail("a number is too large for an integer");
    out.integers.emplace_back(static_cast<std::int64_t>(r));
  }
  return out;
}

Constant to_truth(const Constant& c) {
  Constant out = integers(c.dims, {});
  for (const Integer& i : c.integers) out.integers.emplace_back(i != 0 ? 1 : 0);
  for (const double r : c.reals) out.integers.emplace_back(r != 0 ? 1 : 0);
  return out;
}

Constant cast(const OnnxNode& n, const Inputs& in, std::size_t) {
  using Type = onnx::TensorProto;
  const Constant& c = given(n, in, 0);
  switch (n.integer("to", 0)) {
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::FLOAT16:
    case Type::BFLOAT16:
      return {c.dims, false, reals_of(n, c), {}};
    case Type::BOOL:
      return to_truth(c);
    case Type::INT32:
    case Type::INT64:
      return to_integers(n, c);
    default:
      n.fail("casts of constants to this type are not supported");
  }
}

Constant cast_like(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Constant& c = given(n, in, 0);
  return given(n, in, 1).integral ? to_integers(n, c) : Constant{c.dims, false, reals_of(n, c), {}};
}

Constant gather(const OnnxNode& n, const Inputs& in, std::size_t most) {
  const Constant& c = given(n, in, 0);
  const Constant& which = given(n, in, 1);
  const auto axis = static_cast<std::size_t>(axis_of(n, n.integer("axis", 0), c.dims.size()));
  const auto begin = c.dims.begin(), split = begin + static_cast<std::ptrdiff_t>(axis);
  Dims dims(begin, split);
  dims.insert(dims.end(), which.dims.begin(), which.dims.end());
  dims.insert(dims.end(), split + 1, c.dims.end());
  count_of(n, dims, most);
  const std::size_t outer = count_of(n, {begin, split}, most), inner = count_of(n, {split + 1, c.dims.end()}, most);
  const Dims indices = integers_of(n, &which);
  std::vector<std::size_t> from;
  for (std::size_t o = 0; o < outer; ++o)
    for (const std::int64_t i : indices) {
      const auto at = static_cast<std::size_t>(axis_of(n, i, static_cast<std::size_t>(*split)));
      for (std::size_t k = 0; k < inner; ++k) from.push_back((o * static_cast<std::size_t>(*split) + at) * inner + k);
    }
  return pick(c, std::move(dims), from);
}

Constant unsqueeze(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Constant& c = given(n, in, 0);
  const std::size_t added = optional(in, 1) != nullptr ? in[1]->size() : n.integers("axes").value_or(Dims{}).size();
  Dims dims = c.dims;
  for (const std::int64_t a : axes_of(n, optional(in, 1), dims.size() + added)) dims.insert(dims.begin() + a, 1);
  return reshaped(c, std::move(dims));
}

Constant squeeze(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Constant& c = given(n, in, 0);
  const Dims axes = axes_of(n, optional(in, 1), c.dims.size());
  Dims dims;
  for (std::size_t k = 0; k < c.dims.size(); ++k) {
    const bool named = std::ranges::find(axes, static_cast<std::int64_t>(k)) != axes.end();
    if (named && c.dims[k] != 1) n.fail("an axis to remove is not of size 1");
    if (axes.empty() ? c.dims[k] != 1 : !named) dims.push_back(c.dims[k]);
  }
  return reshaped(c, std::move(dims));
}

Constant concat(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Constant& first = given(n, in, 0);
  const auto axis = static_cast<std::size_t>(axis_of(n, n.integer("axis", 0), first.dims.size()));
  Constant out{first.dims, first.integral, {}, {}};
  out.dims[axis] = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const Constant& c = given(n, in, i);
    Dims others = c.dims;
    if (others.size() == out.dims.size()) others[axis] = out.dims[axis];
    if (others != out.dims || c.integral != first.integral) n.fail("its inputs do not fit together");
    out.dims[axis] += c.dims[axis];
  }
  std::size_t outer = 1;
  for (std::size_t k = 0; k < axis; ++k) outer *= static_cast<std::size_t>(first.dims[k]);
  for (std::size_t o = 0; o < outer; ++o)
    for (const Constant* c : in) {
      const std::size_t run = c->size() / outer;
      const auto copy = [&](auto& to, const auto& from) {
        const auto begin = from.begin() + static_cast<std::ptrdiff_t>(o * run);
        to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(run));
      };
      c->integral ? copy(out.integers, c->integers) : copy(out.reals, c->reals);
    }
  return out;
}

// The parts of a constant along some axes.
Constant part(const Constant& c, const std::vector<Run>& runs) {
  Dims dims = c.dims, strides = strides_of(c.dims);
  std::int64_t base = 0;
  for (const Run& r : runs) {
    const auto k = static_cast<std::size_t>(r.axis);
    base += r.start * strides[k];
    dims[k] = r.count;
    strides[k] *= r.step;
  }
  const std::vector<std::size_t> from = places(dims, strides, base);
  return pick(c, std::move(dims), from);
}

Constant slice(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Constant& c = given(n, in, 0);
  given(n, in, 1), given(n, in, 2);
  return part(c, slices_of(n, {c.dims.begin(), c.dims.end()}, in));
}

Constant transpose(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Constant& c = given(n, in, 0);
  const Dims own = strides_of(c.dims);
  Dims dims, strides;
  for (const std::int64_t a : permutation_of(n, c.dims.size())) {
    dims.push_back(c.dims[static_cast<std::size_t>(a)]);
    strides.push_back(own[static_cast<std::size_t>(a)]);
  }
  const std::vector<std::size_t> from = places(dims, strides);
  return pick(c, std::move(dims), from);
}

Constant reshape(const OnnxNode& n, const Inputs& in, std::size_t most) {
  const Constant& c = given(n, in, 0);
  Dims dims = integers_of(n, &given(n, in, 1));
  std::int64_t* open = nullptr;
  for (std::size_t k = 0; k < dims.size(); ++k) {
    if (dims[k] == 0 && n.integer("allowzero", 0) == 0 && k < c.dims.size()) dims[k] = c.dims[k];
    if (dims[k] != -1) continue;
    if (open != nullptr) n.fail("two sizes are left open");
    open = &dims[k];
  }
  if (open != nullptr) {
    *open = 1;
    const std::size_t rest = count_of(n, dims, most);
    *open = rest == 0 ? 0 : static_cast<std::int64_t>(c.size() / rest);
  }
  if (count_of(n, dims, most) != c.size()) n.fail("the new shape has another size");
  return reshaped(c, std::move(dims));
}

Constant flatten(const OnnxNode& n, const Inputs& in, std::size_t most) {
  const Constant& c = given(n, in, 0);
  std::int64_t axis = n.integer("axis", 1);
  if (axis != static_cast<std::int64_t>(c.dims.size())) axis = axis_of(n, axis, c.dims.size());
  const auto split = c.dims.begin() + axis;
  return reshaped(c, {static_cast<std::int64_t>(count_of(n, {c.dims.begin(), split}, most)),
                      static_cast<std::int64_t>(count_of(n, {split, c.dims.end()}, most))});
}

Constant expand(const OnnxNode& n, const Inputs& in, std::size_t most) {
  const Constant& c = given(n, in, 0);
  Dims dims = broadcast_shape(n, c.dims, integers_of(n, &given(n, in, 1)));
  count_of(n, dims, most);
  const std::vector<std::size_t> from = places(dims, broadcast_strides(n, c.dims, dims));
  return pick(c, std::move(dims), from);
}

Constant constant_of_shape(const OnnxNode& n, const Inputs& in, std::size_t most) {
  Constant value{{1}, false, {0}, {}};
  if (const auto* a = n.attribute("value")) value = read_tensor(a->t(), "node '" + n.name() + "'", ExternalData({}));
  if (value.size() != 1) n.fail("its value must be one number");
  Dims dims = integers_of(n, &given(n, in, 0));
  const std::size_t count = count_of(n, dims, most);
  return pick(value, std::move(dims), std::vector<std::size_t>(count, 0));
}

Constant range(const OnnxNode& n, const Inputs& in, std::size_t most) {
  const auto one = [&](std::size_t i) {
    const Dims v = integers_of(n, &given(n, in, i));
    if (v.size() != 1 || v[0] > INT32_MAX || v[0] < -INT32_MAX) n.fail("its bounds must be small integers");
    return v[0];
  };
  const std::int64_t start = one(0), limit = one(1), step = one(2);
  if (step == 0) n.fail("its step is 0");
  const std::int64_t span = step > 0 ? limit - start : start - limit, width = std::abs(step);
  const Dims dims = {span <= 0 ? 0 : (span - 1) / width + 1};
  Constant out = integers(dims, {});
  for (std::size_t k = 0, count = count_of(n, dims, most); k < count; ++k)
    out.integers.emplace_back(start + static_cast<std::int64_t>(k) * step);
  return out;
}

Constant shape(const OnnxNode& n, const Inputs& in, std::size_t) {
  const Dims& dims = given(n, in, 0).dims;
  return shape_part(n, {dims.begin(), dims.end()});
}

Constant size(const OnnxNode& n, const Inputs& in, std::size_t) {
  return integers({}, {static_cast<std::int64_t>(given(n, in, 0).size())});
}

Constant where(const OnnxNode& n, const Inputs& in, std::size_t most) {
  const Constant &condition = given(n, in, 0), &yes = given(n, in, 1), &no = given(n, in, 2);
  if (!condition.integral || yes.integral != no.integral) n.fail("its inputs do not fit together");
  Dims dims = broadcast_shape(n, broadcast_shape(n, condition.dims, yes.dims), no.dims);
  count_of(n, dims, most);
  const auto c = places(dims, broadcast_strides(n, condition.dims, dims));
  const auto y = places(dims, broadcast_strides(n, yes.dims, dims)),
             o = places(dims, broadcast_strides(n, no.dims, dims));
  Constant out{dims, yes.integral, {}, {}};
  for (std::size_t k = 0; k < c.size(); ++k) {
    const bool chosen = condition.integers[c[k]] != 0;
    if (yes.integral)
      out.integers.push_back(chosen ? yes.integers[y[k]] : no.integers[o[k]]);
    else
      out.reals.push_back(chosen ? yes.reals[y[k]] : no.reals[o[k]]);
  }
  return out;
}

using Fold = Constant (*)(const OnnxNode&, const Inputs&, std::size_t);

const std::map<std::string, Fold>& table() {
  static const std::map<std::string, Fold> folds = {
      {"Constant", constant},
      {"Identity", identity},
      {"Dropout", identity},
      {"Cast", cast},
      {"CastLike", cast_like},
      {"Gather", gather},
      {"Unsqueeze", unsqueeze},
      {"Squeeze", squeeze},
      {"Concat", concat},
      {"Slice", slice},
      {"Reshape", reshape},
      {"Transpose", transpose},
      {"ConstantOfShape", constant_of_shape},
      {"Flatten", flatten},
      {"Expand", expand},
      {"Range", range},
      {"Shape", shape},
      {"Size", size},
      {"Where", where},
  };
  return folds;
}

}  // namespace

bool folds(const std::string& op_type) {
  return table().contains(op_type) || op_type == "Split" || folds_math(op_type);
}

std::vector<Constant> fold(const OnnxNode& n, const std::vector<const Constant*>& inputs, std::size_t most) {
  std::size_t total = 0;
  for (const Constant* c : inputs) total += c == nullptr ? 0 : c->size();
  most = std::max(most, total);
  if (n.op() == "Split") {
    const Constant& c = given(n, inputs, 0);
    const std::int64_t axis = axis_of(n, n.integer("axis", 0), c.dims.size());
    std::vector<Constant> parts;
    for (const Run& r : split_of(n, axis, c.dims[static_cast<std::size_t>(axis)], optional(inputs, 1)))
      parts.push_back(part(c, {r}));
    return parts;
  }
  std::vector<Constant> out;
  const auto found = table().find(n.op());
  out.push_back(found != table().end() ? found->second(n, inputs, most) : fold_math(n, inputs, most));
  for (const double v : out.front().reals)
    if (!std::isfinite(v)) n.fail("a value is not a finite number");
  return out;
}

}  // namespace sotto::graph
