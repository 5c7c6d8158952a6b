// Operators that change a value's dimensions and not its elements, or that are left out.
#include <algorithm>

#include "graph/onnx_advice.h"
#include "graph/onnx_limits.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

void set_view(Builder& b, const OnnxNode& n, const Value& v, Dims dims) {
  Value out = v;
  out.dims = std::move(dims);
  out.view = n.name();
  b.set_value(n, std::move(out));
}

// Dimensions behind a dropped operator do not matter.
bool pass_dropped(Builder& b, const OnnxNode& n) {
  const Value& v = b.any_value(n, 0);
  if (v.dropped.empty()) return false;
  b.set_value(n, v);
  return true;
}

std::size_t elements(const OnnxNode& n, Dims::const_iterator begin, Dims::const_iterator end) {
  return count_of(n, {begin, end}, kMaxValue);
}

// Leaves out a node that keeps the order of scores along `axis`; the value must be one vector of scores along it.
void drop(Builder& b, const OnnxNode& n, std::int64_t default_axis) {
  if (pass_dropped(b, n)) return;
  Value v = b.value(n, 0);
  const std::int64_t axis = axis_of(n, n.integer("axis", default_axis), v.dims.size() + 1);
  const std::size_t size = elements(n, v.dims.begin(), v.dims.end());
  // Before opset 13 Softmax works on everything from its axis on.
  const bool rest = n.opset() < 13 && n.op() != "ArgMax" && axis == 1;
  if (axis == 0 || (!rest && v.dims[static_cast<std::size_t>(axis) - 1] != static_cast<std::int64_t>(size)))
    n.fail(advice_for(n.op()));
  v.dropped = n.name();
  b.note(n.op() + " '" + n.name() + "' at the end is left out: the scores are its inputs, labels stay the same");
  b.set_value(n, std::move(v));
}

}  // namespace

void import_identity(Builder& b, const OnnxNode& n) { b.set_value(n, b.any_value(n, 0)); }

void import_dropout(Builder& b, const OnnxNode& n) {
  const Constant* training = b.find_constant(n, 2);
  if (n.has_input(2) && training == nullptr) n.fail("whether it is in training mode must be a constant");
  if (training != nullptr && reals_of(n, *training) != std::vector<double>{0})
    n.fail("it is in training mode; export the model for inference (model.eval())");
  import_identity(b, n);
}

void import_cast(Builder& b, const OnnxNode& n) {
  using Type = onnx::TensorProto;
  if (pass_dropped(b, n)) return;
  Value v = b.any_value(n, 0);
  switch (n.integer("to", 0)) {
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::FLOAT16:
    case Type::BFLOAT16:
      v.integral = false;
      break;
    case Type::INT32:
    case Type::INT64:
      if (v.integral) break;
      [[fallthrough]];
    default:
      n.fail("only casts to float types are supported");
  }
  b.set_value(n, std::move(v));
}

void import_cast_like(Builder& b, const OnnxNode& n) {
  const Constant *constant = b.find_constant(n, 0), *like = b.find_constant(n, 1);
  const bool integral = like != nullptr ? like->integral : b.any_value(n, 1).integral;
  if (constant != nullptr) {
    if (integral && !constant->integral) n.fail("only casts to float types are supported");
    if (integral) return b.alias_constant(n, 0);
    return b.set_constant(n, 0, {constant->dims, false, reals_of(n, *constant), {}});
  }
  Value v = b.raw_value(n, 0);
  if (integral && !v.integral) n.fail("only casts to float types are supported");
  v.integral = integral;
  b.set_value(n, std::move(v));
}

void import_flatten(Builder& b, const OnnxNode& n) {
  if (pass_dropped(b, n)) return;
  const Value& v = b.any_value(n, 0);
  const auto rank = static_cast<std::int64_t>(v.dims.size()) + 1;
  std::int64_t axis = n.integer("axis", 1);
  if (axis != rank) axis = axis_of(n, axis, v.dims.size() + 1);
  const auto size = static_cast<std::int64_t>(elements(n, v.dims.begin(), v.dims.end()));
  // Sizes of 1 may go to the batch; axis 0 makes everything one row, which is an image if there is only one.
  const bool fits = axis == 0 ? b.batch() == 1 : elements(n, v.dims.begin(), v.dims.begin() + (axis - 1)) == 1;
  if (!fits) n.fail("it flattens images into the batch");
  set_view(b, n, v, {size});
}

void import_reshape(Builder& b, const OnnxNode& n) {
  if (pass_dropped(b, n)) return;
  const Value& v = b.any_value(n, 0);
  const Constant& target = b.constant(n, 1);
  if (!target.integral || target.size() < 1) n.fail("the new shape must be integers");
  const auto size = static_cast<std::int64_t>(elements(n, v.dims.begin(), v.dims.end()));
  Dims dims;
  std::int64_t known = 1;
  int open = 0;
  for (std::size_t k = 1; k < target.integers.size(); ++k) {
    if (!target.integers[k]) n.fail("it moves the batch to another axis");
    std::int64_t d = *target.integers[k];
    if (d == 0 && n.integer("allowzero", 0) == 0 && k - 1 < v.dims.size()) d = v.dims[k - 1];
    if (d < -1 || d == 0 || d > size)
      n.fail("the new shape does not fit an image of " + std::to_string(size) + " values");
    if (d == -1 ? ++open > 1 : (known *= d) > size)
      n.fail("the new shape does not fit an image of " + std::to_string(size) + " values");
    dims.push_back(d);
  }
  // The first size must be the batch: by name, by number, kept (0), left open, or the 1 of a traced single image.
  const Integer& first = target.integers.front();
  const bool named = !first || first == b.batch() || (first == 0 && n.integer("allowzero", 0) == 0);
  const bool batch = named || first == -1 || (first == 1 && !b.batch());
  if (!batch || (first == -1 && open != 0)) n.fail("it does not keep the batch as its first axis");
  for (std::int64_t& d : dims)
    if (d == -1) d = size / known;
  if (static_cast<std::int64_t>(elements(n, dims.begin(), dims.end())) != size)
    n.fail("the new shape does not fit an image of " + std::to_string(size) + " values");
  set_view(b, n, v, std::move(dims));
}

void import_squeeze(Builder& b, const OnnxNode& n) {
  if (pass_dropped(b, n)) return;
  const Value& v = b.any_value(n, 0);
  if (n.has_input(1)) b.constant(n, 1);
  const Dims axes = axes_of(n, b.find_constant(n, 1), v.dims.size() + 1);
  if (!axes.empty() && axes.front() == 0) n.fail("it removes the batch");
  Dims dims;
  for (std::size_t k = 0; k < v.dims.size(); ++k) {
    const bool named = std::ranges::binary_search(axes, static_cast<std::int64_t>(k) + 1);
    if (named && v.dims[k] != 1) n.fail("an axis to remove is not of size 1");
    if (axes.empty() ? v.dims[k] != 1 : !named) dims.push_back(v.dims[k]);
  }
  set_view(b, n, v, std::move(dims));
}

void import_unsqueeze(Builder& b, const OnnxNode& n) {
  if (pass_dropped(b, n)) return;
  const Value& v = b.any_value(n, 0);
  const Constant* input = n.has_input(1) ? &b.constant(n, 1) : nullptr;
  const std::size_t added = input != nullptr ? input->size() : n.integers("axes").value_or(Dims{}).size();
  Dims dims = v.dims;
  for (const std::int64_t a : axes_of(n, input, v.dims.size() + 1 + added)) {
    if (a == 0) n.fail("it adds an axis before the batch");
    dims.insert(dims.begin() + (a - 1), 1);
  }
  set_view(b, n, v, std::move(dims));
}

void import_softmax(Builder& b, const OnnxNode& n) { drop(b, n, n.opset() < 13 ? 1 : -1); }
void import_arg_max(Builder& b, const OnnxNode& n) { drop(b, n, 0); }

void import_log(Builder& b, const OnnxNode& n) {
  if (!pass_dropped(b, n)) n.fail(advice_for(n.op()));
}

}  // namespace sotto::graph
