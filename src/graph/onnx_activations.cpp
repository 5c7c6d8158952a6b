#include "graph/onnx_activations.h"

#include <cmath>
#include <map>
#include <string>

#include "base/error.h"

namespace sotto::graph {

namespace {

using Kind = Function::Kind;
using Scalar = std::function<std::optional<double>(int)>;

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

// Operators with up to two parameters, which are attributes.
struct Rule {
  Kind kind;
  const char *alpha = "", *beta = "";
  double default_alpha = 0, default_beta = 0;
};

const std::map<std::string, Rule>& rules() {
  static const std::map<std::string, Rule> kRules{
      {"Relu", {Kind::relu}},
      {"LeakyRelu", {Kind::leaky_relu, "alpha", "", 0.01}},
      {"Elu", {Kind::elu, "alpha", "", 1}},
      {"Selu", {Kind::selu, "alpha", "gamma", 1.67326319217681884765625, 1.05070102214813232421875}},
      {"Celu", {Kind::celu, "alpha", "", 1}},
      {"Softplus", {Kind::softplus}},
      {"Softsign", {Kind::softsign}},
      {"Sigmoid", {Kind::sigmoid}},
      {"HardSigmoid", {Kind::hard_sigmoid, "alpha", "beta", 0.2, 0.5}},
      {"HardSwish", {Kind::hard_swish}},
      {"Swish", {Kind::silu, "alpha", "", 1}},
      {"Gelu", {Kind::gelu}},
      {"Tanh", {Kind::tanh}},
      {"Mish", {Kind::mish}},
      {"Erf", {Kind::erf}},
      {"Abs", {Kind::abs}},
      {"Exp", {Kind::exp}},
      {"Reciprocal", {Kind::reciprocal}},
  };
  return kRules;
}

const onnx::AttributeProto* attribute(const onnx::NodeProto& n, const std::string& name) {
  for (const auto& a : n.attribute())
    if (a.name() == name) return &a;
  return nullptr;
}

double real(const onnx::NodeProto& n, const std::string& name, double otherwise) {
  const auto* a = name.empty() ? nullptr : attribute(n, name);
  const double v = a == nullptr ? otherwise : static_cast<double>(a->f());
  if (!std::isfinite(v)) fail("attribute " + name + " is not a number");
  return v;
}

// An optional bound: an input, or an attribute before opset 11.
double bound(const onnx::NodeProto& n, const Scalar& scalar, int input, const std::string& name, double otherwise) {
  if (const auto* a = attribute(n, name)) return static_cast<double>(a->f());
  if (input >= n.input_size() || n.input(input).empty()) return otherwise;
  const auto v = scalar(input);
  if (!v) fail("its bounds must be constant numbers");
  return *v;
}

Function clip(double low, double high) {
  if (!(low <= high)) fail("its lower bound is above its upper bound");
  return Function::of(Kind::clip, low, high);
}

// Max or Min of a value and a constant.
Activation one_bound(const onnx::NodeProto& n, const Scalar& scalar) {
  const char* const message = "only the maximum or minimum of a value and one constant number runs encrypted";
  if (n.input_size() != 2) fail(message);
  for (int i = 0; i < 2; ++i) {
    const auto c = scalar(i);
    if (!c || scalar(1 - i)) continue;
    return {n.op_type() == "Max" ? clip(*c, INFINITY) : clip(-INFINITY, *c), 1 - i};
  }
  fail(message);
}

}  // namespace

std::optional<Activation> read_activation(const onnx::NodeProto& node, const Scalar& scalar) {
  const std::string& op = node.op_type();
  if (op == "Clip")
    return Activation{clip(bound(node, scalar, 1, "min", -INFINITY), bound(node, scalar, 2, "max", INFINITY))};
  if (op == "Max" || op == "Min") return one_bound(node, scalar);
  if (op == "PRelu") {
    const auto slope = scalar(1);
    return slope ? std::optional(Activation{Function::of(Kind::leaky_relu, *slope)}) : std::nullopt;
  }
  const auto rule = rules().find(op);
  if (rule == rules().end()) return std::nullopt;
  const Rule& r = rule->second;
  Function f = Function::of(r.kind, real(node, r.alpha, r.default_alpha), real(node, r.beta, r.default_beta));
  if (r.kind == Kind::celu && f.steps[0].alpha == 0) fail("its alpha must not be 0");
  if (op == "Gelu") {
    const auto* a = attribute(node, "approximate");
    if (a != nullptr && a->s() != "none" && a->s() != "tanh") fail("approximate must be none or tanh");
    if (a != nullptr && a->s() == "tanh") f.steps[0].kind = Kind::gelu_tanh;
  }
  return Activation{f};
}

}  // namespace sotto::graph
