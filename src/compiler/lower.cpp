#include "compiler/lower.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "compiler/function_approximation.h"
#include "compiler/polynomial.h"

namespace sotto::compiler {

namespace {

using graph::Network;
using graph::Node;
using graph::Shape;
using plan::Layout;
using plan::Step;
using plan::Term;

// Sum of alpha * tensor over the parts + beta, per channel. The tensors are packed alike.
struct Value {
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

// Sum of terms plus a bias per channel and pixel: what a step computes before its finish.
struct Linear {
  Layout layout;
  std::vector<Term> terms;
  std::vector<double> bias;  // [c][h][w]
  int depth = 0;
};

// The highest degree of a polynomial that runs encrypted; beyond it sums of its powers lose all precision.
constexpr int kMostDegree = 16;

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
    const int side = graph::largest_side(network_);
    int phases = 1;
    while (phases * tile_ < side) phases *= 2;
    plan_.tensors.push_back({"input", {in.c, in.h, in.w, phases, 1, group_}, 0, 1});
    plan_.io = interface_of(network_);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) polynomial_[i] = visit(static_cast<int>(i));
    finish();
    return std::move(plan_);
  }

 private:
  [[noreturn]] void fail(int node, const std::string& message) const {
    throw Error(ErrorCode::bad_input, "node '" + network_.nodes[node].name + "': " + message);
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

  const Layout& layout_of(const Value& v) const { return plan_.tensors[v.parts.front().tensor].layout; }

  int depth_of(const Value& v) const {
    int depth = 0;
    for (const Value::Part& p : v.parts) depth = std::max(depth, plan_.tensors[p.tensor].limbs);
    return depth;
  }

  // Adds a step and returns its output tensor.
  int emit(int node, const Linear& l, Step::Finish finish) {
    const int id = static_cast<int>(plan_.tensors.size());
    const std::string& name = network_.nodes[node].name;
    plan_.tensors.push_back({name, l.layout, l.depth + (finish == Step::Finish::keep ? 0 : 1), 1});
    Step step;
    step.name = name;
    step.output = id;
    step.terms = l.terms;
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

  // The value of a polynomial: squares (or, between linear layers, divides) its root if need be.
  // plain: see complete_squares().
  Value value(int node, const Polynomial& p, bool plain = false) {
    if (p.linear()) {
      Value v;
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
    Value v{{}, taken.rest.of(0)};
    if (taken.rest.degree() > 0) v = value(node, taken.rest, plain);
    for (const Squares::Square& s : taken.squares) v.add(square(node, s.base, plain), s.gain);
    return v;
  }

  Value value(int node) { return value(node, polynomial_[node]); }

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
      const int source = emit(n.inputs[0], l, Step::Finish::rescale);
      out.tensors.push_back(static_cast<int>(plan_.tensors.size()));
      out.gains.push_back(piece.gain);
      plan_.tensors.push_back({n.name, l.layout, l.depth + 1 + piece.activation.depth(), 1});
      plan_.steps.push_back(copy_step(n.name, out.tensors.back(), source, Step::Finish::activate));
      plan_.steps.back().activation = piece.activation;
    }
    return out;
  }

  FunctionApproximation approximation(int node) const {
    const auto& f = std::get<graph::Function>(network_.nodes[node].op);
    if (!(f.range > 0))
      fail(node, "the range of the input of this " + f.name() +
                     " is not known; give images to measure it on (--calibrate SRC)");
    if (auto approximation = approximate(f, relu_error_)) return *approximation;
    std::ostringstream text;
    text << "node '" << network_.nodes[node].name << "': no polynomial that runs encrypted is as close to this "
         << f.name() << " as " << relu_error_ << " of its span, for inputs up to " << f.range
         << "; allow a larger error (--relu-error), or bring its inputs into a smaller range and retrain";
    throw Error(ErrorCode::no_resources, text.str());
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
      for (Term& t : l.terms) {
        const std::size_t row = t.weights.size() / static_cast<std::size_t>(l.layout.channels);
        for (std::size_t k = 0; k < t.weights.size(); ++k) t.weights[k] *= p.of(1)[k / row];
      }
      for (std::size_t k = 0; k < l.bias.size(); ++k)
        l.bias[k] = l.bias[k] * p.of(1)[k / plane(l.layout)] + p.of(0)[k / plane(l.layout)];
      return l;
    }
    const Value v = value(node, p, plain);
    const Layout layout = layout_of(v);
    const auto channels = static_cast<std::size_t>(layout.channels);
    Linear l{layout, {}, std::vector<double>(channels * plane(layout)), depth_of(v)};
    for (const Value::Part& part : v.parts) {
      Term t{Term::Kind::convolution, part.tensor, 1, 1, 1, 1, 0, 0, std::vector<double>(channels * channels)};
      for (std::size_t c = 0; c < channels; ++c) t.weights[c * channels + c] = part.alpha[c];
      l.terms.push_back(std::move(t));
    }
    for (std::size_t k = 0; k < l.bias.size(); ++k) l.bias[k] = v.beta[k / plane(layout)];
    return l;
  }

  Linear make_linear(int root) {
    const Node& n = network_.nodes[root];
    if (const auto* c = std::get_if<graph::Conv2d>(&n.op)) return convolution(root, *c);
    if (const auto* p = std::get_if<graph::AveragePool>(&n.op)) return average_pool(root, *p);
    if (const auto* d = std::get_if<graph::Dense>(&n.op)) return dense(root, *d);
    if (std::holds_alternative<graph::GlobalAveragePool>(n.op)) return global_pool(root);
    if (std::holds_alternative<graph::Sum>(n.op)) {
      Linear l = expression(n.inputs[0]);
      Linear r = expression(n.inputs[1]);
      if (!(l.layout == r.layout)) fail(root, "its operands are packed differently");
      for (Term& t : r.terms) l.terms.push_back(std::move(t));
      for (std::size_t k = 0; k < l.bias.size(); ++k) l.bias[k] += r.bias[k];
      l.depth = std::max(l.depth, r.depth);
      return l;
    }
    if (std::holds_alternative<graph::Flatten>(n.op))
      fail(root, "only a fully connected layer may follow Flatten directly");
    fail(root, "this operation cannot be lowered");
  }

  // Layout after a stride: phases are kept while there are any, then gaps open.
  Layout strided(int node, const Layout& in, const Shape& shape, int stride_h, int stride_w) const {
    if (shape.h == 1 && shape.w == 1 && in.height == 1 && in.width == 1) return {shape.c, 1, 1, 1, in.gap, group_};
    if (stride_h != stride_w) fail(node, "strides that differ in height and width are not supported");
    Layout out{shape.c, shape.h, shape.w, in.phases, in.gap, group_};
    if (in.phases % stride_h == 0) {
      out.phases = in.phases / stride_h;
    } else if (stride_h % in.phases == 0) {
      out.phases = 1;
      out.gap = in.gap * (stride_h / in.phases);
    } else {
      fail(node, "a stride of " + std::to_string(stride_h) + " does not fit the packing");
    }
    return out;
  }

  Linear windowed(int root, int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_top, int pad_left,
                  const Value& v, const std::vector<double>& weights, const std::vector<double>& bias) {
    const Layout& in = layout_of(v);
    Linear l{strided(root, in, network_.nodes[root].shape, stride_h, stride_w), {}, {}, depth_of(v)};
    const Layout& out = l.layout;
    const std::size_t taps = static_cast<std::size_t>(kernel_h) * kernel_w;
    // A constant part of the input meets the zero padding: the bias differs along the border.
    for (int o = 0; o < out.channels; ++o) {
      std::vector<double> tap_bias(taps);
      for (int i = 0; i < in.channels; ++i)
        for (std::size_t k = 0; k < taps; ++k)
          tap_bias[k] += weights[(static_cast<std::size_t>(o) * in.channels + i) * taps + k] * v.beta[i];
      for (int y = 0; y < out.height; ++y) {
        for (int x = 0; x < out.width; ++x) {
          double b = bias[o];
          for (int ky = 0; ky < kernel_h; ++ky)
            for (int kx = 0; kx < kernel_w; ++kx) {
              const int iy = y * stride_h + ky - pad_top, ix = x * stride_w + kx - pad_left;
              if (iy >= 0 && iy < in.height && ix >= 0 && ix < in.width)
                b += tap_bias[static_cast<std::size_t>(ky) * kernel_w + kx];
            }
          l.bias.push_back(b);
        }
      }
    }
    for (const Value::Part& part : v.parts) {
      l.terms.push_back(
          {Term::Kind::convolution, part.tensor, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, weights});
      for (std::size_t k = 0; k < weights.size(); ++k)
        l.terms.back().weights[k] *= part.alpha[k / taps % static_cast<std::size_t>(in.channels)];
    }
    return l;
  }

  Linear convolution(int root, const graph::Conv2d& c) {
    const Value v = value(network_.nodes[root].inputs[0]);
    // Groups and dilation become zeros of a dense kernel.
    const int kh = c.dilation_h * (c.kernel_h - 1) + 1, kw = c.dilation_w * (c.kernel_w - 1) + 1;
    if (kh > 64 || kw > 64) fail(root, "kernels larger than 64 are not supported");
    const int in_group = c.in_c / c.groups, out_group = c.out_c / c.groups;
    std::vector<double> weights(static_cast<std::size_t>(c.out_c) * c.in_c * kh * kw);
    for (int o = 0; o < c.out_c; ++o)
      for (int i = 0; i < in_group; ++i)
        for (int ky = 0; ky < c.kernel_h; ++ky)
          for (int kx = 0; kx < c.kernel_w; ++kx) {
            const int channel = o / out_group * in_group + i;
            weights[((static_cast<std::size_t>(o) * c.in_c + channel) * kh + ky * c.dilation_h) * kw +
                    kx * c.dilation_w] =
                c.weights[((static_cast<std::size_t>(o) * in_group + i) * c.kernel_h + ky) * c.kernel_w + kx];
          }
    return windowed(root, kh, kw, c.stride_h, c.stride_w, c.pad_top, c.pad_left, v, weights, c.bias);
  }

  Linear average_pool(int root, const graph::AveragePool& p) {
    const Value v = value(network_.nodes[root].inputs[0]);
    if (!p.count_pad && (p.pad_top || p.pad_left || p.pad_bottom || p.pad_right))
      fail(root, "AveragePool with padding must count the padding (count_include_pad = 1)");
    if (p.kernel_h > 64 || p.kernel_w > 64) fail(root, "kernels larger than 64 are not supported");
    const auto channels = static_cast<std::size_t>(network_.nodes[root].shape.c),
               taps = static_cast<std::size_t>(p.kernel_h) * p.kernel_w;
    std::vector<double> weights(channels * channels * taps);
    for (std::size_t c = 0; c < channels; ++c)
      std::fill_n(weights.begin() + static_cast<std::ptrdiff_t>((c * channels + c) * taps), taps,
                  1.0 / static_cast<double>(taps));
    return windowed(root, p.kernel_h, p.kernel_w, p.stride_h, p.stride_w, p.pad_top, p.pad_left, v, weights,
                    std::vector<double>(channels, 0.0));
  }

  // A linear map of all pixels of a tensor: weight(o, channel, pixel).
  template <class F>
  Linear full(const Value& v, int outputs, F weight, const std::vector<double>& bias) {
    const Layout& in = layout_of(v);
    Linear l{{outputs, 1, 1, 1, tile_, group_}, {}, bias, depth_of(v)};
    for (const Value::Part& part : v.parts) l.terms.push_back({Term::Kind::full, part.tensor, 1, 1, 1, 1, 0, 0, {}});
    const std::size_t pixels = plane(in);
    for (int o = 0; o < outputs; ++o)
      for (int i = 0; i < in.channels; ++i)
        for (std::size_t k = 0; k < pixels; ++k) {
          const double w = weight(o, i, k);
          for (std::size_t t = 0; t < v.parts.size(); ++t) l.terms[t].weights.push_back(w * v.parts[t].alpha[i]);
          l.bias[o] += w * v.beta[i];
        }
    return l;
  }

  Linear global_pool(int root) {
    const Value v = value(network_.nodes[root].inputs[0]);
    const double mean = 1.0 / static_cast<double>(plane(layout_of(v)));
    const int channels = network_.nodes[root].shape.c;
    return full(
        v, channels, [&](int o, int i, std::size_t) { return o == i ? mean : 0.0; },
        std::vector<double>(static_cast<std::size_t>(channels), 0.0));
  }

  Linear dense(int root, const graph::Dense& d) {
    const int input = network_.nodes[root].inputs[0];
    const Polynomial& p = polynomial_[input];
    const Node& source = network_.nodes[p.root];
    const bool pooled = std::holds_alternative<graph::GlobalAveragePool>(source.op);
    const bool flattened = std::holds_alternative<graph::Flatten>(source.op);
    if (!p.linear() || !(pooled || flattened)) {
      if (flattened) fail(input, "put the activation before Flatten");
      const Value v = value(input);
      return windowed(root, 1, 1, 1, 1, 0, 0, v, d.weights, d.bias);
    }
    // Dense after a mean or a flattening: one full connection. The affine map p lies in between.
    const Value v = value(source.inputs[0]);
    const std::size_t pixels = plane(layout_of(v));
    std::vector<double> bias = d.bias;
    for (int o = 0; o < d.out; ++o)
      for (int k = 0; k < d.in; ++k) bias[o] += d.weights[static_cast<std::size_t>(o) * d.in + k] * p.of(0)[k];
    return full(
        v, d.out,
        [&](int o, int i, std::size_t pixel) {
          const std::size_t k = pooled ? static_cast<std::size_t>(i) : static_cast<std::size_t>(i) * pixels + pixel;
          return d.weights[static_cast<std::size_t>(o) * d.in + k] * p.of(1)[k] /
                 (pooled ? static_cast<double>(pixels) : 1.0);
        },
        bias);
  }

  void finish() {
    const int last = static_cast<int>(network_.nodes.size()) - 1;
    if (network_.output_shape().h != 1 || network_.output_shape().w != 1)
      fail(last, "the output must be a vector of scores");
    emit(last, expression(last), Step::Finish::keep);
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
  return Lowering(network, tile, group, relu_error).run();
}

}  // namespace sotto::compiler
