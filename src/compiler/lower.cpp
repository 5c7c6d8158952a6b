#include "compiler/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "compiler/flatten_last.h"
#include "compiler/function_approximation.h"
#include "compiler/linear_form.h"
#include "compiler/polynomial.h"
#include "compiler/unread_steps.h"

namespace sotto::compiler {

namespace {

using graph::Network;
using graph::Node;
using graph::Shape;
using Linear = LinearForm;
using plan::Layout;
using plan::Step;
using plan::Term;

// Sum of alpha * tensor over the parts + beta, per channel. The tensors are packed alike.
struct Tensors {
  struct Part {
    int tensor = 0;
    std::vector<double> alpha;
  };
  std::vector<Part> parts;
  std::vector<double> beta;

  // A multiple of a tensor that may be a part already.
  void add(int tensor, const std::vector<double>& alpha) {
    for (Part& p : parts) {
      if (p.tensor != tensor) continue;
      for (std::size_t c = 0; c < alpha.size(); ++c) p.alpha[c] += alpha[c];
      return;
    }
    parts.push_back({tensor, alpha});
  }
};

// The highest degree of a polynomial that runs encrypted; beyond it sums of its powers lose all precision.
constexpr int kMostDegree = 16;

// A pool as a convolution of every channel by itself with equal weights.
graph::Conv2d depthwise(const graph::AveragePool& p, int channels, double weight) {
  const auto taps = static_cast<std::size_t>(p.kernel_h) * static_cast<std::size_t>(p.kernel_w);
  const auto count = static_cast<std::size_t>(channels);
  return {.out_c = channels,
          .in_c = channels,
          .kernel_h = p.kernel_h,
          .kernel_w = p.kernel_w,
          .stride_h = p.stride_h,
          .stride_w = p.stride_w,
          .pad_top = p.pad_top,
          .pad_left = p.pad_left,
          .pad_bottom = p.pad_bottom,
          .pad_right = p.pad_right,
          .groups = channels,
          .weights = std::vector<double>(count * taps, weight),
          .bias = std::vector<double>(count)};
}

class Lowering {
 public:
  Lowering(const Network& network, int tile, int group, double relu_error)
      : network_(network),
        tile_(tile),
        group_(group),
        relu_error_(relu_error),
        polynomial_(network.nodes.size()),
        linear_(network.nodes.size()) {}

  plan::Plan run() {
    plan_.network = network_.name;
    plan_.tile = tile_;
    const Shape in = network_.input_shape();
    const plan::Axes canvas = canvas_of(network_);
    plan::Axes phases = 1;
    while (phases.h * tile_ < canvas.h) phases.h *= 2;
    while (phases.w * tile_ < canvas.w) phases.w *= 2;
    plan_.tensors.push_back({"input", {in.c, in.h, in.w, phases, 1, group_}, 0, 1});
    plan_.io = interface_of(network_);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) polynomial_[i] = visit(static_cast<int>(i));
    finish();
    return std::move(plan_);
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
      if (l.root != r.root)
        fail(i,
             "a product of two different values (a gate, squeeze-and-excitation) does not run encrypted; only "
             "polynomials and activations of one value do");
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

  static std::size_t plane(const Layout& l) { return static_cast<std::size_t>(l.height) * l.width; }

  // Adds a step and returns its output tensor.
  int emit(int node, const Linear& l, Step::Finish finish) {
    const int id = static_cast<int>(plan_.tensors.size());
    const std::string& name = network_.nodes[node].name;
    plan_.tensors.push_back({name, l.layout, l.depth + (finish == Step::Finish::keep ? 0 : 1), 1});
    Step step;
    step.name = name;
    step.output = id;
    step.terms = l.terms;
    if (step.terms.empty()) {  // a constant: nothing is read, but a step has a term
      Term& t = step.terms.emplace_back();
      t.blocks = {{0, 1, 0, 1}};
      t.weights = {0};
    }
    step.bias = l.bias;
    step.finish = finish;
    step.limbs = l.depth;
    // One bias per channel where padding makes no difference.
    const std::size_t pixels = plane(l.layout);
    bool uniform = true;
    for (std::size_t k = 0; k < l.bias.size() && uniform; ++k) uniform = l.bias[k] == l.bias[k / pixels * pixels];
    if (uniform) {
      step.bias.clear();
      for (int c = 0; c < l.layout.channels; ++c) step.bias.push_back(l.bias[c * pixels]);
    }
    plan_.steps.push_back(std::move(step));
    return id;
  }

  // The tensors of a polynomial: squares (or, between linear layers, divides) its root if need be.
  // plain: see complete_squares().
  Tensors tensors(int node, const Polynomial& p, bool plain = false) {
    if (p.linear()) {
      Tensors v;
      v.beta = p.of(0);
      const auto add = [&](int tensor, double gain) {
        std::vector<double> alpha = p.of(1);
        for (double& a : alpha) a *= gain;
        v.add(tensor, alpha);
      };
      if (!is_function(p.root)) {
        add(tensor_of(p.root), 1);
        return v;
      }
      const Activated& f = activated(p.root);
      for (std::size_t k = 0; k < f.tensors.size(); ++k) add(f.tensors[k], f.gains[k]);
      for (std::size_t c = 0; c < v.beta.size(); ++c) v.beta[c] += p.of(1)[c] * f.offset;
      return v;
    }
    const Squares taken = complete_squares(p, network_.nodes[p.root].magnitude, plain);
    plain = plain || taken.squares.size() > 1 || taken.rest.degree() > 0;
    Tensors v{{}, taken.rest.of(0)};
    if (taken.rest.degree() > 0) v = tensors(node, taken.rest, plain);
    for (const Squares::Square& s : taken.squares) v.add(square(node, s.base, plain), s.gain);
    return v;
  }

  // The square of a polynomial, computed once.
  int square(int node, const Polynomial& base, bool plain) {
    auto& tensor = squared_[{base.root, base.coefficients}];
    if (!tensor) tensor = emit(node, expression(node, base, plain), Step::Finish::square);
    return *tensor;
  }

  // The tensor of a root that is no function: the image, or a linear layer's output.
  int tensor_of(int root) {
    if (root == 0) return 0;
    auto& tensor = rescaled_[root];
    if (!tensor) tensor = emit(root, linear(root), Step::Finish::rescale);
    return *tensor;
  }

  [[nodiscard]] bool is_function(int node) const {
    return std::holds_alternative<graph::Function>(network_.nodes[node].op);
  }

  // A copy of a tensor that is zero in all slots without a pixel.
  int masked(int node, int tensor) {
    const auto channels = static_cast<std::size_t>(plan_.tensors[static_cast<std::size_t>(tensor)].layout.channels);
    const Linear copy = tensor_form(plan_, tensor, std::vector<double>(channels, 1), std::vector<double>(channels, 0));
    return emit(node, copy, Step::Finish::rescale);
  }

  // The tensors of a function: its input as a tensor of its own, then a polynomial slot by slot.
  struct Activated {
    std::vector<int> tensors;
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
      int source = emit(n.inputs[0], l, Step::Finish::rescale);
      if (spills(plan_, l)) source = masked(n.inputs[0], source);
      const int depth = plan_.tensors[static_cast<std::size_t>(source)].limbs;
      out.tensors.push_back(static_cast<int>(plan_.tensors.size()));
      out.gains.push_back(piece.gain);
      plan_.tensors.push_back({n.name, l.layout, depth + piece.activation.depth(), 1});
      plan_.steps.push_back(copy_step(n.name, out.tensors.back(), source, Step::Finish::activate));
      plan_.steps.back().activation = piece.activation;
    }
    return out;
  }

  FunctionApproximation approximation(int node) const {
    const auto& f = std::get<graph::Function>(network_.nodes[node].op);
    if (!(f.range > 0))
      fail(node, "nobody knows the range of this " + f.name() + "; give images to measure on", Setting::calibration);
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
    if (p.linear() && p.root != 0 && !is_function(p.root)) {
      Linear l = linear(p.root);
      scale(l, p.of(1), p.of(0));
      return l;
    }
    return form(tensors(node, p, plain));
  }

  [[nodiscard]] Linear form(const Tensors& v) const {
    Linear l = tensor_form(plan_, v.parts.front().tensor, v.parts.front().alpha, v.beta);
    for (std::size_t k = 1; k < v.parts.size(); ++k)
      add(l, tensor_form(plan_, v.parts[k].tensor, v.parts[k].alpha, std::vector<double>(v.beta.size())));
    return l;
  }

  Linear make_linear(int root) {
    const Node& n = network_.nodes[root];
    if (const auto* c = std::get_if<graph::Conv2d>(&n.op)) return convolution(root, *c, {});
    if (const auto* p = std::get_if<graph::AveragePool>(&n.op)) return average_pool(root, *p);
    if (const auto* d = std::get_if<graph::Dense>(&n.op))
      return dense(n.inputs[0], polynomial_[n.inputs[0]], d->weights, d->bias);
    if (std::holds_alternative<graph::GlobalAveragePool>(n.op)) return mean(plan_, value(n.inputs[0]));
    if (std::holds_alternative<graph::Flatten>(n.op)) return flattened(plan_, value(n.inputs[0]));
    if (std::holds_alternative<graph::Sum>(n.op)) {
      std::vector<Linear> parts = joined(n.inputs);
      add(parts[0], std::move(parts[1]));
      return std::move(parts[0]);
    }
    if (std::holds_alternative<graph::Concat>(n.op)) return concat(plan_, joined(concat_parts(root)));
    if (const auto* p = std::get_if<graph::PixelBias>(&n.op)) return biased(expression(n.inputs[0]), *p);
    if (const auto* r = std::get_if<graph::Rearrange>(&n.op)) {
      if (auto l = rearranged(plan_, expression(n.inputs[0]), *r, n.shape)) return std::move(*l);
      return *rearranged(plan_, as_tensor(n.inputs[0]), *r, n.shape);
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

  // The expressions of several nodes for one step. What other steps compute, too, becomes a tensor where its level is
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
      if (p.linear() && p.root != 0 && readers(p.root) > 1 && parts[k].depth < depth && !is_value(plan_, parts[k]))
        parts[k] = form(tensors(nodes[k], p));
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

  // A node as what a layer can read without a step in between: tensors whose channels and pixels are picked.
  Linear value(int node) { return value(node, polynomial_[node]); }

  Linear value(int node, const Polynomial& p) {
    const Node& root = network_.nodes[p.root];
    if (p.linear()) {
      std::optional<Linear> moved;
      if (std::holds_alternative<graph::Concat>(root.op)) {
        std::vector<Linear> parts;
        for (int i : concat_parts(p.root)) parts.push_back(value(i));
        moved = concat(plan_, std::move(parts));
      } else if (const auto* r = std::get_if<graph::Rearrange>(&root.op)) {
        moved = rearranged(plan_, value(root.inputs[0]), *r, root.shape);
      } else if (const auto* b = std::get_if<graph::PixelBias>(&root.op)) {
        moved = biased(value(root.inputs[0]), *b);
      }
      if (moved && is_value(plan_, *moved)) {
        scale(*moved, p.of(1), p.of(0));
        return *moved;
      }
    }
    return form(tensors(node, p));
  }

  // The same with a step in between, if need be.
  Linear as_tensor(int node) { return form(tensors(node, polynomial_[node])); }

  // map: a factor for every output pixel, without the bias; empty: 1.
  Linear convolution(int root, const graph::Conv2d& c, const std::vector<double>& map) {
    const int input = network_.nodes[root].inputs[0];
    const Shape& shape = network_.nodes[root].shape;
    if (c.kernel_h > 64 || c.kernel_w > 64) fail(root, "kernels larger than 64 are not supported");
    if (auto l = convolved(plan_, value(input), c, shape, map)) return std::move(*l);
    return *convolved(plan_, as_tensor(input), c, shape, map);
  }

  // Every channel by itself; along the border fewer pixels count if pads do not.
  Linear average_pool(int root, const graph::AveragePool& p) {
    const Node& n = network_.nodes[root];
    const Shape& in = network_.nodes[n.inputs[0]].shape;
    const int area = p.kernel_h * p.kernel_w;
    std::vector<double> map;
    for (int y = 0; y < n.shape.h; ++y) {
      for (int x = 0; x < n.shape.w; ++x) {
        const auto pixels = [](int from, int kernel, int size) {
          return std::min(from + kernel, size) - std::max(from, 0);
        };
        const int count = pixels(y * p.stride_h - p.pad_top, p.kernel_h, in.h) *
                          pixels(x * p.stride_w - p.pad_left, p.kernel_w, in.w);
        map.push_back(p.count_pad ? 1 : static_cast<double>(area) / count);
      }
    }
    double weight = 1.0 / area;
    if (std::all_of(map.begin(), map.end(), [&](double v) { return v == map.front(); })) {
      weight *= map.front();
      map.clear();
    }
    return convolution(root, depthwise(p, in.c, weight), map);
  }

  // A matrix [outputs][features] times the features of a node.
  Linear dense(int node, const Polynomial& p, std::vector<double> weights, std::vector<double> bias) {
    const Node& root = network_.nodes[p.root];
    const std::size_t features = p.channels();
    if (p.linear() && p.root != 0) {
      // The affine map comes first; what it is applied to may be read in another way than as a tensor.
      std::vector<double> w = weights, b = bias;
      for (std::size_t o = 0; o < b.size(); ++o) {
        for (std::size_t k = 0; k < features; ++k) {
          b[o] += w[o * features + k] * p.of(0)[k];
          w[o * features + k] *= p.of(1)[k];
        }
      }
      if (std::holds_alternative<graph::Flatten>(root.op) || std::holds_alternative<graph::GlobalAveragePool>(root.op))
        return fully_connected(plan_, value(root.inputs[0]), w, b);
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
    return *convolved(plan_, value(node, p), c, {outputs, 1, 1}, {});
  }

  void finish() {
    const int last = static_cast<int>(network_.nodes.size()) - 1;
    if (network_.output_shape().h != 1 || network_.output_shape().w != 1)
      fail(last, "the output must be a vector of scores");
    emit(last, expression(last), Step::Finish::keep);
    drop_unread_steps(plan_);  // of values that were read in another way in the end
  }

  const Network& network_;
  int tile_, group_;
  double relu_error_;
  plan::Plan plan_;
  std::vector<Polynomial> polynomial_;
  std::vector<std::optional<Linear>> linear_;
  std::map<int, std::optional<int>> rescaled_;
  std::map<int, Activated> activated_;
  std::map<std::pair<int, std::vector<std::vector<double>>>, std::optional<int>> squared_;
  std::vector<int> readers_;  // by root
};

}  // namespace

double relu_error_for(const graph::Network& network) {
  const auto functions =
      std::ranges::count_if(network.nodes, [](const Node& n) { return std::holds_alternative<graph::Function>(n.op); });
  return functions <= kFewRelus ? kReluError : kReluError / 2;
}

plan::Interface interface_of(const graph::Network& network) {
  const Shape in = network.input_shape();
  return {in.c, in.h, in.w, network.mean, network.std, network.classes, network.output_shape().c};
}

plan::Plan lower(const graph::Network& network, int tile, int group, double relu_error) {
  const Network moved = flatten_last(network);
  return Lowering(moved, tile, group, relu_error).run();
}

}  // namespace sotto::compiler
