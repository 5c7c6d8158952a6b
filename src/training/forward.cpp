#include "training/forward.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "training/adapter_names.h"
#include "training/layers.h"

namespace sotto::training {

namespace {

using graph::Network;
using graph::Node;
using Kind = Op::Kind;

constexpr std::size_t kMostDegree = 2;

Shape shape_of(const graph::Shape& s) { return {s.c, s.h, s.w}; }

// A polynomial of the value of an earlier node, the same for all its numbers. Nodes that only add to one make no
// values: whoever reads them takes the whole of it.
struct Polynomial {
  int root = 0;                               // index of the node
  int last = 0;                               // of the one that made it what it is, whose name it has
  std::vector<double> coefficients = {0, 1};  // of 1, x, x^2

  [[nodiscard]] std::size_t degree() const { return coefficients.size() - 1; }
};

void trim(std::vector<double>& coefficients) {
  while (coefficients.size() > 2 && coefficients.back() == 0) coefficients.pop_back();
}

class Forward {
 public:
  Forward(const Network& network, const Spec& spec)
      : network_(network), spec_(spec), trained_(layers_to_train(network, spec)), readers_(network.nodes.size()) {
    for (const Node& n : network.nodes)
      for (int i : n.inputs) ++readers_[static_cast<std::size_t>(i)];
    b_.step.images = b_.add_value({.name = "images", .space = Space::map, .shape = shape_of(network.input_shape())});
    values_[{0, {0, 1}}] = b_.step.images;
  }

  StepBuilder run() {
    polynomials_.push_back({});
    for (int i = 1; i < static_cast<int>(network_.nodes.size()); ++i) polynomials_.push_back(visit(i));
    const int last = static_cast<int>(network_.nodes.size()) - 1;
    // Images that a batch lacks have scores of zero, which teach nothing; a constant would.
    if (of(last).coefficients[0] != 0)
      fail(last, "a constant that is added behind the last dense layer cannot be trained; make it part of its biases");
    b_.step.scores = value_of(last);
    if (b_.step.value(b_.step.scores).space != Space::vector)
      fail(last, "the scores must come from a dense layer to be trained");
    return std::move(b_);
  }

 private:
  [[nodiscard]] const Node& at(int i) const { return network_.nodes[static_cast<std::size_t>(i)]; }
  [[noreturn]] void fail(int i, const std::string& message) const {
    throw Error(ErrorCode::bad_input, "node '" + at(i).name + "': " + message);
  }

  Polynomial visit(int i) {
    const Node& n = at(i);
    if (const auto* c = std::get_if<graph::Conv2d>(&n.op)) return convolution(i, *c);
    if (const auto* d = std::get_if<graph::Dense>(&n.op)) return dense(i, *d);
    if (const auto* a = std::get_if<graph::ChannelAffine>(&n.op)) return affine(i, *a);
    if (std::holds_alternative<graph::Flatten>(n.op)) return of(n.inputs[0]);
    if (std::holds_alternative<graph::Product>(n.op)) return product(i);
    if (std::holds_alternative<graph::Sum>(n.op)) return sum(i);
    if (const auto* p = std::get_if<graph::AveragePool>(&n.op)) return pool(i, *p);
    if (std::holds_alternative<graph::GlobalAveragePool>(n.op)) return mean(i);
    if (const auto* r = std::get_if<graph::Rearrange>(&n.op)) return channels(i, *r);
    fail(
        i,
        "it cannot be trained through; what can: convolutions, dense layers, polynomials of degree two, average pools, "
        "sums");
  }

  [[nodiscard]] const Polynomial& of(int node) const { return polynomials_[static_cast<std::size_t>(node)]; }

  // The shape of what has the value of a node: a flattened map is still one.
  [[nodiscard]] const graph::Shape& shape(int node) const { return at(of(node).root).shape; }

  // A node whose value an op made.
  Polynomial root(int i, int value) {
    values_[{i, {0, 1}}] = value;
    return {i, i};
  }

  // The value that stands for weights of a layer, whose node may be another than `named`: that of its biases.
  int weights(int layer, int named, bool bias, Value value, const std::vector<double>& numbers) {
    return trained_.contains(layer) ? b_.add_parameter(at(named).name, bias, std::move(value), numbers)
                                    : b_.add_constant(std::move(value), numbers);
  }

  int add_bias(int layer, int node, int value, const std::vector<double>& bias) {
    const std::string& name = at(node).name;
    const int channels = static_cast<int>(bias.size());
    const int weights =
        this->weights(layer, node, true,
                      {.name = name + ".bias", .space = Space::kernel, .outs = channels, .shape = {1, 1, 1}}, bias);
    return b_.add(Kind::add_bias, {value, weights}, b_.like(name, value));
  }

  // The value of a layer with its biases, unless it has none or those come from a node of their own.
  Polynomial layer(int i, int product, const std::vector<double>& bias) {
    if (is_adapter_part(at(i).name, spec_)) return root(i, product);
    return root(i, bias_node(network_, i) == i ? add_bias(i, i, product, bias) : product);
  }

  Polynomial convolution(int i, const graph::Conv2d& c) {
    if (c.groups != 1 || c.dilation_h != 1 || c.dilation_w != 1)
      fail(i, "convolutions with groups or dilation cannot be trained");
    const int x = value_of(at(i).inputs[0]);
    if (b_.step.value(x).space != Space::map || at(at(i).inputs[0]).shape != shape(at(i).inputs[0]))
      fail(i, "a convolution of what was flattened cannot be trained");
    const std::string& name = at(i).name;
    const int kernel = weights(
        i, i, false,
        {.name = name + ".weights", .space = Space::kernel, .outs = c.out_c, .shape = {c.in_c, c.kernel_h, c.kernel_w}},
        c.weights);
    const Window window{c.stride_h, c.stride_w, c.pad_top, c.pad_left};
    const int sums = b_.add(Kind::convolve, {x, kernel},
                            {.name = name + ".sums", .space = Space::map, .shape = shape_of(at(i).shape)}, window);
    return layer(i, sums, c.bias);
  }

  Polynomial dense(int i, const graph::Dense& d) {
    if (const int mean = mean_for(i); mean >= 0) return mean_of_dense(i, d, mean);
    const int x = value_of(at(i).inputs[0]);
    const std::string& name = at(i).name;
    const int matrix = weights(
        i, i, false,
        {.name = name + ".weights", .space = Space::matrix, .outs = d.out, .shape = b_.step.value(x).shape}, d.weights);
    const int sums =
        b_.add(Kind::contract, {x, matrix}, {.name = name + ".sums", .space = Space::vector, .shape = {d.out, 1, 1}});
    return layer(i, sums, d.bias);
  }

  Polynomial pool(int i, const graph::AveragePool& p) {
    const bool pads = p.pad_top != 0 || p.pad_left != 0 || p.pad_bottom != 0 || p.pad_right != 0;
    if (pads && !p.count_pad) fail(i, "a pool with padding that does not count cannot be trained through");
    if (p.stride_h > p.kernel_h || p.stride_w > p.kernel_w)
      fail(i, "a pool that leaves pixels out cannot be trained through");
    const int x = map_of(i);
    const Window window{p.stride_h, p.stride_w, p.pad_top, p.pad_left, p.kernel_h, p.kernel_w};
    const Shape out = shape_of(at(i).shape);
    return root(i, b_.add(Kind::pool, {x}, {.name = at(i).name, .space = Space::map, .shape = out}, window));
  }

  // The node that takes the means that a dense layer reads, if it alone does; or -1.
  [[nodiscard]] int mean_for(int dense) const {
    int source = at(dense).inputs[0];
    const auto alone = [&] { return readers_[static_cast<std::size_t>(source)] == 1; };
    while (std::holds_alternative<graph::Flatten>(at(source).op) && alone()) source = at(source).inputs[0];
    return std::holds_alternative<graph::GlobalAveragePool>(at(source).op) && alone() ? source : -1;
  }

  // A dense layer of means is the mean of a convolution of one tap: there are fewer means to take then, and no vector
  // in between.
  Polynomial mean_of_dense(int i, const graph::Dense& d, int mean) {
    const int x = map_of(mean);
    const std::string& name = at(i).name;
    const Shape& in = b_.step.value(x).shape;
    const int kernel =
        weights(i, i, false, {.name = name + ".weights", .space = Space::kernel, .outs = d.out, .shape = {d.in, 1, 1}},
                d.weights);
    const int sums = b_.add(Kind::convolve, {x, kernel},
                            {.name = name + ".maps", .space = Space::map, .shape = {d.out, in.height, in.width}});
    const int biased = bias_node(network_, i) == i ? add_bias(i, i, sums, d.bias) : sums;
    return root(i, b_.add(Kind::mean, {biased}, {.name = name, .space = Space::vector, .shape = {d.out, 1, 1}}));
  }

  // Some of the image's channels, side by side.
  Polynomial channels(int i, const graph::Rearrange& r) {
    bool plain = at(i).inputs[0] == 0 && at(i).shape.h == at(0).shape.h && at(i).shape.w == at(0).shape.w &&
                 r.stride_h == 1 && r.stride_w == 1 && r.pad_top == 0 && r.pad_left == 0;
    for (std::size_t c = 1; c < r.channels.size(); ++c) plain = plain && r.channels[c] == r.channels[c - 1] + 1;
    if (!plain || r.channels.front() < 0) fail(i, "channels and pixels that are moved cannot be trained through");
    const int made = b_.add(Kind::channels, {value_of(0)},
                            {.name = at(i).name, .space = Space::map, .shape = shape_of(at(i).shape)});
    b_.step.ops.back().first = r.channels.front();
    return root(i, made);
  }

  Polynomial mean(int i) {
    for (int k = i + 1; k < static_cast<int>(network_.nodes.size()); ++k)
      if (std::holds_alternative<graph::Dense>(at(k).op) && mean_for(k) == i)
        return of(at(i).inputs[0]);  // the dense layer takes the mean itself
    const int x = map_of(i);
    return root(i,
                b_.add(Kind::mean, {x},
                       {.name = at(i).name, .space = Space::vector, .shape = {b_.step.value(x).shape.channels, 1, 1}}));
  }

  // What a node reads, as a map.
  int map_of(int i) {
    const int x = value_of(at(i).inputs[0]);
    if (b_.step.value(x).space != Space::map || at(at(i).inputs[0]).shape != shape(at(i).inputs[0]))
      fail(i, "a pool of what was flattened cannot be trained through");
    return x;
  }

  Polynomial affine(int i, const graph::ChannelAffine& a) {
    const int source = at(i).inputs[0];
    if (has_weights(at(source)) && bias_node(network_, source) == i)
      return root(i, add_bias(source, i, value_of(source), a.shift));
    const auto uneven = [](const std::vector<double>& v) {
      return std::ranges::any_of(v, [&](double x) { return x != v.front(); });
    };
    if (uneven(a.scale) || uneven(a.shift))
      fail(i, "factors and summands that differ between channels (a batch normalisation?) cannot be trained");
    Polynomial p = of(source);
    p.last = i;
    for (double& c : p.coefficients) c *= a.scale[0];
    p.coefficients[0] += a.shift[0];
    trim(p.coefficients);
    return p;
  }

  Polynomial product(int i) {
    const Polynomial &l = of(at(i).inputs[0]), &r = of(at(i).inputs[1]);
    if (l.root != r.root) fail(i, "products of different values cannot be trained, only squares");
    if (l.degree() + r.degree() > kMostDegree) fail(i, "only polynomials of degree two can be trained");
    Polynomial p{l.root, i, std::vector<double>(l.coefficients.size() + r.coefficients.size() - 1)};
    for (std::size_t j = 0; j < l.coefficients.size(); ++j)
      for (std::size_t k = 0; k < r.coefficients.size(); ++k)
        p.coefficients[j + k] += l.coefficients[j] * r.coefficients[k];
    trim(p.coefficients);
    return p;
  }

  Polynomial sum(int i) {
    const int left = at(i).inputs[0], right = at(i).inputs[1];
    const Polynomial &l = of(left), &r = of(right);
    if (l.root == r.root) {
      Polynomial p = l.degree() < r.degree() ? r : l;
      p.last = i;
      const Polynomial& other = l.degree() < r.degree() ? l : r;
      for (std::size_t k = 0; k < other.coefficients.size(); ++k) p.coefficients[k] += other.coefficients[k];
      trim(p.coefficients);
      return p;
    }
    const int first = value_of(left), second = value_of(right);
    if (b_.step.value(first).shape != b_.step.value(second).shape ||
        b_.step.value(first).space != b_.step.value(second).space)
      fail(i, "the two values of a sum must have the same shape before they are flattened");
    return root(i, b_.affine(at(i).name, {first, second}, {1, 1}));
  }

  // The value of a node: made once for all who read it.
  int value_of(int node) {
    const Polynomial& p = of(node);
    if (const auto made = values_.find({p.root, p.coefficients}); made != values_.end()) return made->second;
    const int x = values_.at({p.root, {0, 1}});
    const std::string& name = at(p.last).name;
    const auto& c = p.coefficients;
    int value = 0;
    if (p.degree() < 2) {
      value = b_.affine(name, {x}, {c[1]}, c[0]);
    } else {
      // a (x + b / 2a)^2 + c - b^2 / 4a
      const double half = c[1] / (2 * c[2]);
      const int base = half == 0 ? x : b_.affine(name + ".base", {x}, {1}, half);
      const double rest = c[0] - c[2] * half * half;
      const bool plain = c[2] == 1 && rest == 0;
      value = b_.add(Kind::square, {base}, b_.like(plain ? name : name + ".square", x));
      if (!plain) value = b_.affine(name, {value}, {c[2]}, rest);
    }
    values_[{p.root, c}] = value;
    return value;
  }

  const Network& network_;
  const Spec& spec_;
  StepBuilder b_;
  std::set<int> trained_;                                      // nodes of layers
  std::vector<int> readers_;                                   // by node
  std::vector<Polynomial> polynomials_;                        // by node
  std::map<std::pair<int, std::vector<double>>, int> values_;  // of polynomials: root and coefficients
};

}  // namespace

StepBuilder forward(const Network& network, const Spec& spec) { return Forward(network, spec).run(); }

}  // namespace sotto::training
