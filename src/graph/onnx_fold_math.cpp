#include "graph/onnx_fold_math.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

using Inputs = std::vector<const Constant*>;

// How to compute one element from two: of reals, and of integers, where that is defined. Comparisons give 0 or 1.
struct Binary {
  double (*reals)(double, double);
  Integer (*integers)(std::int64_t, std::int64_t);  // nullopt: not defined
  bool truth = false;
};

// Integers stay far below 2^63, so that shape arithmetic cannot overflow.
constexpr std::int64_t kLargest = std::int64_t{1} << 52;

Integer bounded(double wide, std::int64_t exact) {
  return std::abs(wide) > static_cast<double>(kLargest) ? Integer() : Integer(exact);
}
std::int64_t wrapping(std::uint64_t v) { return static_cast<std::int64_t>(v); }

Integer add(std::int64_t a, std::int64_t b) {
  return bounded(static_cast<double>(a) + static_cast<double>(b),
                 wrapping(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b)));
}
Integer subtract(std::int64_t a, std::int64_t b) {
  return bounded(static_cast<double>(a) - static_cast<double>(b),
                 wrapping(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b)));
}
Integer multiply(std::int64_t a, std::int64_t b) {
  return bounded(static_cast<double>(a) * static_cast<double>(b),
                 wrapping(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b)));
}
Integer divide(std::int64_t a, std::int64_t b) {
  if (b == 0 || std::abs(static_cast<double>(a)) > static_cast<double>(kLargest)) return std::nullopt;
  return a / b;
}
// As in Python: the sign of the divisor.
Integer modulo(std::int64_t a, std::int64_t b) {
  if (b == 0 || std::abs(static_cast<double>(a)) > static_cast<double>(kLargest)) return std::nullopt;
  const std::int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

const std::map<std::string, Binary>& binaries() {
  using I = std::int64_t;
  static const std::map<std::string, Binary> table = {
      {"Add", {[](double a, double b) { return a + b; }, add}},
      {"Sub", {[](double a, double b) { return a - b; }, subtract}},
      {"Mul", {[](double a, double b) { return a * b; }, multiply}},
      {"Div", {[](double a, double b) { return a / b; }, divide}},
      {"Mod", {nullptr, modulo}},
      {"Pow", {[](double a, double b) { return std::pow(a, b); }, nullptr}},
      {"Min", {[](double a, double b) { return std::min(a, b); }, [](I a, I b) { return Integer(std::min(a, b)); }}},
      {"Max", {[](double a, double b) { return std::max(a, b); }, [](I a, I b) { return Integer(std::max(a, b)); }}},
      {"Equal", {[](double a, double b) { return double(a == b); }, [](I a, I b) { return Integer(a == b); }, true}},
      {"Less", {[](double a, double b) { return double(a < b); }, [](I a, I b) { return Integer(a < b); }, true}},
      {"Greater", {[](double a, double b) { return double(a > b); }, [](I a, I b) { return Integer(a > b); }, true}},
      {"LessOrEqual",
       {[](double a, double b) { return double(a <= b); }, [](I a, I b) { return Integer(a <= b); }, true}},
      {"GreaterOrEqual",
       {[](double a, double b) { return double(a >= b); }, [](I a, I b) { return Integer(a >= b); }, true}},
      {"And", {nullptr, [](I a, I b) { return Integer(a != 0 && b != 0); }}},
      {"Or", {nullptr, [](I a, I b) { return Integer(a != 0 || b != 0); }}},
  };
  return table;
}

const std::map<std::string, double (*)(double)>& unaries() {
  static const std::map<std::string, double (*)(double)> table = {
      {"Neg", [](double a) { return -a; }},
      {"Abs", [](double a) { return std::abs(a); }},
      {"Sqrt", [](double a) { return std::sqrt(a); }},
      {"Reciprocal", [](double a) { return 1 / a; }},
      {"Exp", [](double a) { return std::exp(a); }},
      {"Log", [](double a) { return std::log(a); }},
      {"Floor", [](double a) { return std::floor(a); }},
      {"Ceil", [](double a) { return std::ceil(a); }},
      {"Not", nullptr},
  };
  return table;
}

// What a reduction sums up, and what it makes of the sum over `count` elements. Integers below 2^53 are exact.
struct Reduction {
  double start;
  double (*join)(double, double);
  double (*finish)(double, double count) = [](double sum, double) { return sum; };
};

const std::map<std::string, Reduction>& reductions() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static const std::map<std::string, Reduction> table = {
      {"ReduceSum", {0, [](double a, double b) { return a + b; }}},
      {"ReduceMean",
       {0, [](double a, double b) { return a + b; }, [](double sum, double count) { return sum / count; }}},
      {"ReduceProd", {1, [](double a, double b) { return a * b; }}},
      {"ReduceMin", {kInfinity, [](double a, double b) { return std::min(a, b); }}},
      {"ReduceMax", {-kInfinity, [](double a, double b) { return std::max(a, b); }}},
      {"ReduceSumSquare", {0, [](double a, double b) { return a + b * b; }}},
      {"ReduceL1", {0, [](double a, double b) { return a + std::abs(b); }}},
      {"ReduceL2",
       {0, [](double a, double b) { return a + b * b; }, [](double sum, double) { return std::sqrt(sum); }}},
  };
  return table;
}

// An operation of integers, one of which may be the free batch size: a number of at least 1.
Integer of_integers(const OnnxNode& n, const Binary& f, const Integer& a, const Integer& b) {
  if (f.integers == nullptr) n.fail("it is not defined for integers");
  if (a && b) {
    const Integer result = f.integers(*a, *b);
    if (!result) n.fail("its result is not defined or too large");
    return result;
  }
  const std::string& op = n.op();
  if (a || b) {
    const std::int64_t known = a ? *a : *b;
    if (known == 0 && (op == "Add" || (op == "Sub" && b))) return std::nullopt;
    if (known == 1 && (op == "Mul" || op == "Max" || (op == "Div" && b))) return std::nullopt;
    if (f.truth && known < 1) return f.integers(a ? known : 1, b ? known : 1);
    if (op == "Mul" && known == 0) return 0;
  }
  n.fail("it computes with the batch size, which the model leaves free; export it with a fixed batch size of 1");
}

Constant of_two(const OnnxNode& n, const Binary& f, const Constant& a, const Constant& b, std::size_t most) {
  Constant out{broadcast_shape(n, a.dims, b.dims), f.truth, {}, {}};
  count_of(n, out.dims, most);
  const auto left = places(out.dims, broadcast_strides(n, a.dims, out.dims));
  const auto right = places(out.dims, broadcast_strides(n, b.dims, out.dims));
  if (a.integral && b.integral && f.integers != nullptr) {
    out.integral = true;
    for (std::size_t k = 0; k < left.size(); ++k)
      out.integers.push_back(of_integers(n, f, a.integers[left[k]], b.integers[right[k]]));
    return out;
  }
  if (f.reals == nullptr) n.fail("it is defined for integers only");
  const std::vector<double> x = reals_of(n, a), y = reals_of(n, b);
  for (std::size_t k = 0; k < left.size(); ++k) {
    const double v = f.reals(x[left[k]], y[right[k]]);
    if (f.truth)
      out.integers.emplace_back(v != 0);
    else
      out.reals.push_back(v);
  }
  return out;
}

Constant of_one(const OnnxNode& n, double (*f)(double), const Constant& c) {
  if (!c.integral) {
    if (f == nullptr) n.fail("it is defined for truth values only");
    Constant out{c.dims, false, {}, {}};
    for (const double v : c.reals) out.reals.push_back(f(v));
    return out;
  }
  Constant out{c.dims, true, {}, {}};
  for (const std::int64_t v : integers_of(n, &c)) {
    if (n.op() == "Not")
      out.integers.emplace_back(v == 0);
    else if (n.op() == "Neg" && std::abs(static_cast<double>(v)) < static_cast<double>(kLargest))
      out.integers.emplace_back(-v);
    else if (n.op() == "Abs" && std::abs(static_cast<double>(v)) < static_cast<double>(kLargest))
      out.integers.emplace_back(std::abs(v));
    else
      n.fail("it is not defined for integers");
  }
  return out;
}

Constant reduce(const OnnxNode& n, const Reduction& r, const Inputs& in) {
  const Constant& c = *in[0];
  const std::vector<double> values = reals_of(n, c);
  Dims axes = axes_of(n, in.size() > 1 ? in[1] : nullptr, c.dims.size());
  if (axes.empty() && n.integer("noop_with_empty_axes", 0) != 0) return c;
  const bool all = axes.empty(), keep = n.integer("keepdims", 1) != 0;
  Dims kept, dims;  // with sizes of 1, and as the output has them
  for (std::size_t k = 0; k < c.dims.size(); ++k) {
    const bool reduced = all || std::ranges::binary_search(axes, static_cast<std::int64_t>(k));
    kept.push_back(reduced ? 1 : c.dims[k]);
    if (!reduced || keep) dims.push_back(kept.back());
  }
  std::size_t count = 1;
  for (const std::int64_t d : kept) count *= static_cast<std::size_t>(d);
  std::vector<double> sums(count, r.start);
  const auto to = places(c.dims, broadcast_strides(n, kept, c.dims));
  for (std::size_t k = 0; k < values.size(); ++k) sums[to[k]] = r.join(sums[to[k]], values[k]);
  const double each = count == 0 ? 1 : static_cast<double>(values.size()) / static_cast<double>(count);
  Constant out{std::move(dims), c.integral, {}, {}};
  for (double& s : sums) {
    s = r.finish(s, each);
    if (!c.integral) continue;
    if (!(std::abs(s) < static_cast<double>(kLargest)) || s != std::floor(s)) n.fail("its result is no integer");
    out.integers.emplace_back(static_cast<std::int64_t>(s));
  }
  if (!c.integral) out.reals = std::move(sums);
  return out;
}

}  // namespace

bool folds_math(const std::string& op_type) {
  return binaries().contains(op_type) || unaries().contains(op_type) || reductions().contains(op_type);
}

Constant fold_math(const OnnxNode& n, const Inputs& inputs, std::size_t most) {
  if (inputs.empty() || inputs[0] == nullptr) n.fail("an input is missing");
  const auto unary = unaries().find(n.op());
  if (unary != unaries().end()) return of_one(n, unary->second, *inputs[0]);
  const auto reduction = reductions().find(n.op());
  if (reduction != reductions().end()) return reduce(n, reduction->second, inputs);
  const Binary& f = binaries().at(n.op());
  Constant result = *inputs[0];
  const bool many = n.op() == "Min" || n.op() == "Max";
  if (!many && inputs.size() != 2) n.fail("it must have two inputs");
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) n.fail("an input is missing");
    result = of_two(n, f, result, *inputs[i], most);
  }
  return result;
}

}  // namespace sotto::graph
