#include "compiler/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "compiler/average_pool.h"
#include "compiler/flatten_last.h"
#include "compiler/function_approximation.h"
#include "compiler/linear_form.h"
#include "compiler/polynomial.h"

namespace sotto::compiler {

namespace {

using graph::Network;
using graph::Node;
using graph::Shape;
using Linear = LinearForm;
using circuit::Op;
using circuit::Term;
using Kind = Op::Kind;

// Sum of alpha * value over the parts + beta, per channel.
struct Values {
  struct Part {
    int value = 0;
    std::vector<double> alpha;
  };
  std::vector<Part> parts;
  std::vector<double> beta;

  // A multiple of a value that may be a part already.
  void add(int value, const std::vector<double>& alpha) {
    for (Part& p : parts) {
      if (p.value != value) continue;
      for (std::size_t c = 0; c < alpha.size(); ++c) p.alpha[c] += alpha[c];
      return;
    }
    parts.push_back({value, alpha});
  }
};

// The highest degree of a polynomial that runs encrypted; beyond it sums of its powers lose all precision.
constexpr int kMostDegree = 16;

class Lowering {
 public:
  Lowering(const Network& network, double relu_error, Output output)
      : network_(network),
        relu_error_(relu_error),
        output_(output),
        polynomial_(network.nodes.size()),
        linear_(network.nodes.size()) {}

  circuit::Circuit run() {
    const Shape in = network_.input_shape();
    add_value("input", {in.c, in.h, in.w}, 0);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) polynomial_[i] = visit(static_cast<int>(i));
    finish();
    return std::move(circuit_);
  }

 private:
  [[noreturn]] void fail(int node, const std::string& message, Setting setting = Setting::none) const {
    throw Error(ErrorCode::bad_input, "node '" + network_.nodes[node].name + "': " + message, setting);
  }

  Polynomial itself(int node) const {
    return Polynomial::identity(node, static_cast<std::size_t>(network_.nodes[node].shape.c));
  }

  // The form of a node: polynomials of their root are joined here, everything else becomes a root of its own.
  Polynomial visit(int i) {
    const Node& n = network_.nodes[i];
    if (const auto* a = std::get_if<graph::ChannelAffine>(&n.op))
      return affine(polynomial_[n.inputs[0]], a->scale, a->shift);
    if (std::holds_alternative<graph::Flatten>(n.op) && network_.nodes[n.inputs[0]].shape == n.shape)
      return polynomial_[n.inputs[0]];
    if (std::holds_alternative<graph::Product>(n.op)) {
      const Polynomial &l = polynomial_[n.inputs[0]], &r = polynomial_[n.inputs[1]];
      if (l.root != r.root || !same_shape(n.inputs)) return itself(i);
      if (l.degree() + r.degree() > kMostDegree)
        fail(i, "polynomials of a degree above " + std::to_string(kMostDegree) + " do not run encrypted");
      return product(l, r);
    }
    if (std::holds_alternative<graph::Sum>(n.op)) {
      const Polynomial &l = polynomial_[n.inputs[0]], &r = polynomial_[n.inputs[1]];
      if (l.root == r.root) return sum(l, r);
    }
    return itself(i);
  }

  int add_value(const std::string& name, const circuit::Shape& shape, int depth) {
    circuit_.values.push_back({name, shape});
    depths_.push_back(depth);
    return static_cast<int>(circuit_.values.size()) - 1;
  }

  [[nodiscard]] int depth_of(int value) const { return depths_[static_cast<std::size_t>(value)]; }

  // alpha[c] * value + beta[c].
  [[nodiscard]] Linear form_of(int value, const std::vector<double>& alpha, const std::vector<double>& beta) const {
    return value_form(circuit_, value, depth_of(value), alpha, beta);
  }

  [[nodiscard]] bool same_shape(const std::vector<int>& nodes) const {
    return std::ranges::all_of(nodes, [&](int i) { return network_.nodes[i].shape == network_.nodes[nodes[0]].shape; });
  }

  // Adds an op and returns its output. levels: that it takes.
  int emit(int node, const Linear& l, Kind kind, int levels = 1) {
    Op op;
    op.name = network_.nodes[node].name;
    op.output = add_value(op.name, l.shape, l.depth + levels);
    op.terms = l.terms;
    if (op.terms.empty()) {  // a constant: nothing is read, but an op has a term
      Term& t = op.terms.emplace_back();
      t.blocks = {{0, 1, 0, 1}};
      t.weights = {0};
    }
    op.bias = l.bias;
    op.kind = kind;
    // One bias per channel where padding makes no difference.
    const std::size_t pixels = l.plane();
    bool uniform = true;
    for (std::size_t k = 0; k < l.bias.size() && uniform; ++k) uniform = l.bias[k] == l.bias[k / pixels * pixels];
    if (uniform) {
      op.bias.clear();
      for (int c = 0; c < l.shape.channels; ++c) op.bias.push_back(l.bias[c * pixels]);
    }
    circuit_.ops.push_back(std::move(op));
    return circuit_.ops.back().output;
  }

  // The values of a polynomial: squares its root (or, between linear layers, makes a value of it) if need be.
  // plain: see complete_squares().
  Values values(int node, const Polynomial& p, bool plain = false) {
    if (p.linear()) {
      Values v;
      v.beta = p.of(0);
      const auto add = [&](int value, double gain) {
        std::vector<double> alpha = p.of(1);
        for (double& a : alpha) a *= gain;
        v.add(value, alpha);
      };
      if (!is_function(p.root)) {
        add(value_of(p.root), 1);
        return v;
      }
      const Activated& f = activated(p.root);
      for (std::size_t k = 0; k < f.values.size(); ++k) add(f.values[k], f.gains[k]);
      for (std::size_t c = 0; c < v.beta.size(); ++c) v.beta[c] += p.of(1)[c] * f.offset;
      return v;
    }
    const Squares taken = complete_squares(p, network_.nodes[p.root].magnitude, plain);
    plain = plain || taken.squares.size() > 1 || taken.rest.degree() > 0;
    Values v{{}, taken.rest.of(0)};
    if (taken.rest.degree() > 0) v = values(node, taken.rest, plain);
    for (const Squares::Square& s : taken.squares) v.add(square(node, s.base, plain), s.gain);
    return v;
  }

  // The square of a polynomial, computed once.
  int square(int node, const Polynomial& base, bool plain) {
    auto& value = squared_[{base.root, base.coefficients}];
    if (!value) value = emit(node, expression(node, base, plain), Kind::square);
    return *value;
  }

  // The value of a root that is no function: the image, a product, or a linear layer's output.
  int value_of(int root) {
    if (root == 0) return 0;
    if (is_product(root)) return multiplied(root);
    auto& value = rescaled_[root];
    if (!value) value = emit(root, linear(root), Kind::sum);
    return *value;
  }

  [[nodiscard]] bool is_function(int node) const {
    return std::holds_alternative<graph::Function>(network_.nodes[node].op);
  }

  [[nodiscard]] bool is_product(int root) const {
    return std::holds_alternative<graph::Product>(network_.nodes[root].op);
  }

  // Whether a root is made by an op of its own, of which layers read the value.
  [[nodiscard]] bool has_value(int root) const { return root == 0 || is_function(root) || is_product(root); }

  // A product of two values: sums that stay at their level, whose weights take up scales, then the product.
  int multiplied(int root) {
    auto& value = multiplied_[root];
    if (value) return *value;
    const Node& n = network_.nodes[root];
    std::vector<Linear> sums;
    for (int i : n.inputs) {
      Linear l = expression(i);
      // What goes to all pixels must be alone in its tile, to a whole prime: there are sums of neighbours beside it.
      if (!same_shape(n.inputs) && spills(circuit_, l)) {
        const auto channels = static_cast<std::size_t>(l.shape.channels);
        l = form_of(masked(i, emit(i, l, Kind::sum)), std::vector<double>(channels, 1), std::vector<double>(channels));
      }
      sums.push_back(std::move(l));
    }
    // Next to the product: nothing is bootstrapped while a factor waits.
    std::vector<int> factors;
    for (std::size_t k = 0; k < sums.size(); ++k) factors.push_back(emit(n.inputs[k], sums[k], Kind::sum, 0));
    const int depth = std::max(sums[0].depth, sums[1].depth);
    value = add_value(n.name, circuit_.value(factors.front()).shape, depth + 1);
    circuit_.ops.push_back(copy_op(n.name, *value, factors, Kind::multiply));
    return *value;
  }

  // A copy of a value that is zero in all slots without a pixel.
  int masked(int node, int value) {
    const auto channels = static_cast<std::size_t>(circuit_.value(value).shape.channels);
    const Linear copy = form_of(value, std::vector<double>(channels, 1), std::vector<double>(channels, 0));
    return emit(node, copy, Kind::sum);
  }

  // The values of a function: its input as a value of its own, then a polynomial slot by slot.
  struct Activated {
    std::vector<int> values;
    std::vector<double> gains;
    double offset = 0;
  };

  const Activated& activated(int node) {
    const auto [found, fresh] = activated_.try_emplace(node);
    Activated& out = found->second;
    if (!fresh) return out;
    const Node& n = network_.nodes[node];
    const FunctionApproximation f = approximation(node);
    out.offset = f.offset;
    for (const auto& piece : f.pieces) {
      Linear l = expression(n.inputs[0]);
      for (double& b : l.bias) b += piece.shift;
      int source = emit(n.inputs[0], l, Kind::sum);
      if (spills(circuit_, l)) source = masked(n.inputs[0], source);
      out.values.push_back(add_value(n.name, l.shape, depth_of(source) + piece.activation.depth()));
      out.gains.push_back(piece.gain);
      circuit_.ops.push_back(copy_op(n.name, out.values.back(), {source}, Kind::activate));
      circuit_.ops.back().activation = piece.activation;
    }
    return out;
  }

  FunctionApproximation approximation(int node) const {
    const auto& f = std::get<graph::Function>(network_.nodes[node].op);
    if (!(f.range > 0))
      fail(node, "nobody knows the range of this " + f.name() + "; give images to measure on", Setting::calibration);
    if (!(f.range < circuit::kMostRange))
      fail(node,
           fmt::format("this {} would have to take inputs up to {:.1g}, too large for encrypted arithmetic; measure on "
                       "images like those to come",
                       f.name(), f.range),
           Setting::calibration);
    if (auto approximation = approximate(f, relu_error_)) return *approximation;
    throw Error(ErrorCode::no_resources,
                fmt::format("node '{}': no polynomial that runs encrypted is as close to this {} as {:g} of its span "
                            "for inputs up to {:g}; measure on images like those to come, or allow a larger error",
                            network_.nodes[node].name, f.name(), relu_error_, f.range),
                Setting::function_error);
  }

  // The linear expression of a root, computed once.
  const Linear& linear(int root) {
    if (!linear_[root]) linear_[root] = make_linear(root);
    return *linear_[root];
  }

  // The linear expression of any node of degree one; of higher degree, sums of its squares as terms.
  Linear expression(int node) { return expression(node, polynomial_[node], false); }

  Linear expression(int node, const Polynomial& p, bool plain) {
    if (p.linear() && !has_value(p.root)) {
      Linear l = linear(p.root);
      scale(l, p.of(1), p.of(0));
      return l;
    }
    return form(values(node, p, plain));
  }

  [[nodiscard]] Linear form(const Values& v) const {
    Linear l = form_of(v.parts.front().value, v.parts.front().alpha, v.beta);
    for (std::size_t k = 1; k < v.parts.size(); ++k)
      add(l, form_of(v.parts[k].value, v.parts[k].alpha, std::vector<double>(v.beta.size())));
    return l;
  }

  Linear make_linear(int root) {
    const Node& n = network_.nodes[root];
    if (const auto* c = std::get_if<graph::Conv2d>(&n.op)) return convolution(root, *c, {});
    if (const auto* p = std::get_if<graph::AveragePool>(&n.op)) return average_pool(root, *p);
    if (const auto* d = std::get_if<graph::Dense>(&n.op))
      return dense(n.inputs[0], polynomial_[n.inputs[0]], d->weights, d->bias);
    if (std::holds_alternative<graph::GlobalAveragePool>(n.op)) return mean(circuit_, picked(n.inputs[0]));
    if (std::holds_alternative<graph::Flatten>(n.op)) return flattened(circuit_, picked(n.inputs[0]));
    if (std::holds_alternative<graph::Sum>(n.op)) {
      std::vector<Linear> parts = joined(n.inputs);
      add(parts[0], std::move(parts[1]));
      return std::move(parts[0]);
    }
    if (std::holds_alternative<graph::Concat>(n.op)) return concat(circuit_, joined(concat_parts(root)));
    if (const auto* p = std::get_if<graph::PixelBias>(&n.op)) return biased(expression(n.inputs[0]), *p);
    if (const auto* r = std::get_if<graph::Rearrange>(&n.op)) {
      if (auto l = rearranged(circuit_, expression(n.inputs[0]), *r, n.shape)) return std::move(*l);
      return *rearranged(circuit_, as_value(n.inputs[0]), *r, n.shape);
    }
    fail(root, "this operation cannot be lowered");
  }

  static Linear biased(Linear l, const graph::PixelBias& p) {
    for (std::size_t k = 0; k < l.bias.size(); ++k) l.bias[k] += p.values[k];
    return l;
  }

  // What a Concat joins, those inside another at first hand.
  std::vector<int> concat_parts(int root) const {
    std::vector<int> parts;
    for (int i : network_.nodes[root].inputs) {
      const Polynomial& p = polynomial_[i];
      if (is_identity(p) && std::holds_alternative<graph::Concat>(network_.nodes[p.root].op)) {
        const std::vector<int> inner = concat_parts(p.root);
        parts.insert(parts.end(), inner.begin(), inner.end());
      } else {
        parts.push_back(i);
      }
    }
    return parts;
  }

  static bool is_identity(const Polynomial& p) {
    return p.linear() && std::ranges::all_of(p.of(1), [](double v) { return v == 1; }) &&
           std::ranges::all_of(p.of(0), [](double v) { return v == 0; });
  }

  // The expressions of several nodes for one op. What other ops compute, too, becomes a value where its level is
  // there anyway, as the earlier layers under a dense connection.
  std::vector<Linear> joined(const std::vector<int>& nodes) {
    std::vector<Linear> parts;
    int depth = 0;
    for (int i : nodes) {
      parts.push_back(expression(i));
      depth = std::max(depth, parts.back().depth);
    }
    for (std::size_t k = 0; k < nodes.size(); ++k) {
      const Polynomial& p = polynomial_[nodes[k]];
      if (p.linear() && p.root != 0 && readers(p.root) > 1 && parts[k].depth < depth && !picks(circuit_, parts[k]))
        parts[k] = form(values(nodes[k], p));
    }
    return parts;
  }

  // How many nodes read a root, each polynomial of it counted once.
  int readers(int root) {
    if (readers_.empty()) {
      std::vector<std::set<std::pair<int, std::vector<std::vector<double>>>>> by_root(network_.nodes.size());
      for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
        if (polynomial_[i].root != static_cast<int>(i)) continue;
        for (int k : network_.nodes[i].inputs) {
          const Polynomial& p = polynomial_[k];
          auto shape = p.coefficients;
          shape.front().clear();  // whatever it is shifted by
          by_root[static_cast<std::size_t>(p.root)].insert({p.linear() ? static_cast<int>(i) : -1, std::move(shape)});
        }
      }
      for (const auto& set : by_root) readers_.push_back(static_cast<int>(set.size()));
    }
    return readers_[static_cast<std::size_t>(root)];
  }

  // A node as what a layer can read without an op in between: values whose channels and pixels are picked.
  Linear picked(int node) { return picked(node, polynomial_[node]); }

  Linear picked(int node, const Polynomial& p) {
    const Node& root = network_.nodes[p.root];
    if (p.linear()) {
      std::optional<Linear> moved;
      if (std::holds_alternative<graph::Concat>(root.op)) {
        std::vector<Linear> parts;
        for (int i : concat_parts(p.root)) parts.push_back(picked(i));
        moved = concat(circuit_, std::move(parts));
      } else if (const auto* r = std::get_if<graph::Rearrange>(&root.op)) {
        moved = rearranged(circuit_, picked(root.inputs[0]), *r, root.shape);
      } else if (const auto* b = std::get_if<graph::PixelBias>(&root.op)) {
        moved = biased(picked(root.inputs[0]), *b);
      }
      if (moved && picks(circuit_, *moved)) {
        scale(*moved, p.of(1), p.of(0));
        return *moved;
      }
    }
    return form(values(node, p));
  }

  // The same with an op in between, if need be.
  Linear as_value(int node) { return form(values(node, polynomial_[node])); }

  // map: a factor for every output pixel, without the bias; empty: 1.
  Linear convolution(int root, const graph::Conv2d& c, const std::vector<double>& map) {
    const int input = network_.nodes[root].inputs[0];
    const Shape& shape = network_.nodes[root].shape;
    if (c.kernel_h > 64 || c.kernel_w > 64) fail(root, "kernels larger than 64 are not supported");
    if (auto l = convolved(circuit_, picked(input), c, shape, map)) return std::move(*l);
    return *convolved(circuit_, as_value(input), c, shape, map);
  }

  Linear average_pool(int root, const graph::AveragePool& p) {
    const Node& n = network_.nodes[root];
    const PoolAsConvolution pool = as_convolution(p, network_.nodes[n.inputs[0]].shape, n.shape);
    return convolution(root, pool.convolution, pool.map);
  }

  // A matrix [outputs][features] times the features of a node.
  Linear dense(int node, const Polynomial& p, std::vector<double> weights, std::vector<double> bias) {
    const Node& root = network_.nodes[p.root];
    const std::size_t features = p.channels();
    if (p.linear() && p.root != 0) {
      // The affine map comes first; what it is applied to may be read in another way than as a value.
      std::vector<double> w = weights, b = bias;
      for (std::size_t o = 0; o < b.size(); ++o) {
        for (std::size_t k = 0; k < features; ++k) {
          b[o] += w[o * features + k] * p.of(0)[k];
          w[o * features + k] *= p.of(1)[k];
        }
      }
      if (std::holds_alternative<graph::Flatten>(root.op) || std::holds_alternative<graph::GlobalAveragePool>(root.op))
        return fully_connected(circuit_, picked(root.inputs[0]), w, b);
      if (std::holds_alternative<graph::Concat>(root.op)) {
        std::optional<Linear> sum;
        std::size_t before = 0;
        for (int i : root.inputs) {
          const std::size_t count = polynomial_[i].channels();
          std::vector<double> part;
          for (std::size_t o = 0; o < b.size(); ++o) {
            const auto row = w.begin() + static_cast<std::ptrdiff_t>(o * features + before);
            part.insert(part.end(), row, row + static_cast<std::ptrdiff_t>(count));
          }
          Linear l = dense(i, polynomial_[i], std::move(part), sum ? std::vector<double>(b.size()) : b);
          if (sum)
            add(*sum, std::move(l));
          else
            sum = std::move(l);
          before += count;
        }
        return *sum;
      }
    }
    const int outputs = static_cast<int>(bias.size()), inputs = static_cast<int>(features);
    const graph::Conv2d c{.out_c = outputs, .in_c = inputs, .weights = std::move(weights), .bias = std::move(bias)};
    return *convolved(circuit_, picked(node, p), c, {outputs, 1, 1}, {});
  }

  void finish() {
    const int last = static_cast<int>(network_.nodes.size()) - 1;
    if (output_ == Output::scores && (network_.output_shape().h != 1 || network_.output_shape().w != 1))
      fail(last, "the output must be a vector of scores");
    emit(last, expression(last), Kind::sum);
    drop_unread(circuit_);  // values that were read in another way in the end
  }

  const Network& network_;
  double relu_error_;
  Output output_;
  circuit::Circuit circuit_;
  std::vector<int> depths_;  // by value: levels below the input
  std::vector<Polynomial> polynomial_;
  std::vector<std::optional<Linear>> linear_;
  std::map<int, std::optional<int>> rescaled_;
  std::map<int, std::optional<int>> multiplied_;  // by root
  std::map<int, Activated> activated_;
  std::map<std::pair<int, std::vector<std::vector<double>>>, std::optional<int>> squared_;
  std::vector<int> readers_;  // by root
};

}  // namespace

plan::Interface interface_of(const graph::Network& network) {
  const Shape in = network.input_shape();
  return {in.c, in.h, in.w, network.mean, network.std, network.classes, network.output_shape().c};
}

circuit::Circuit lower(const graph::Network& network, double relu_error, Output output) {
  const Network moved = flatten_last(network);
  return Lowering(moved, relu_error, output).run();
}

}  // namespace sotto::compiler
