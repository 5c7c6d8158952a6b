#pragma once

#include <cmath>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/network.h"

namespace sotto::test {

/// Networks put together node by node, with random weights. Every method returns the index of its node.
class NetworkBuilder {
 public:
  graph::Network network;

  NetworkBuilder(graph::Shape input, unsigned seed) : rng_(seed) {
    network.name = "test.onnx";
    network.mean.assign(static_cast<std::size_t>(input.c), 0.0);
    network.std.assign(static_cast<std::size_t>(input.c), 1.0);
    node("input", graph::Input{}, {}, input);
  }

  [[nodiscard]] const graph::Shape& shape(int v) const { return network.nodes[static_cast<std::size_t>(v)].shape; }

  int conv(int x, int out_c, int kernel, int stride, int pad, int groups = 1, int dilation = 1) {
    const graph::Shape in = shape(x);
    graph::Conv2d c{.out_c = out_c,
                    .in_c = in.c,
                    .kernel_h = kernel,
                    .kernel_w = kernel,
                    .stride_h = stride,
                    .stride_w = stride,
                    .pad_top = pad,
                    .pad_left = pad,
                    .pad_bottom = pad,
                    .pad_right = pad,
                    .groups = groups,
                    .dilation_h = dilation,
                    .dilation_w = dilation,
                    .weights = {},
                    .bias = values(out_c, 0.5)};
    const int inputs = in.c / groups * kernel * kernel;
    c.weights = values(out_c * inputs, 1.5 / std::sqrt(inputs));
    const int span = dilation * (kernel - 1) + 1;
    const graph::Shape out{out_c, (in.h + 2 * pad - span) / stride + 1, (in.w + 2 * pad - span) / stride + 1};
    return node("conv", std::move(c), {x}, out);
  }
  /// A convolution whose kernel, strides, pads, dilation, groups and output channels are set, with random weights.
  int conv(int x, graph::Conv2d c) {
    const graph::Shape in = shape(x);
    c.in_c = in.c;
    const int inputs = in.c / c.groups * c.kernel_h * c.kernel_w;
    c.weights = values(c.out_c * inputs, 1.5 / std::sqrt(inputs));
    c.bias = values(c.out_c, 0.5);
    const graph::Shape out{c.out_c,
                           (in.h + c.pad_top + c.pad_bottom - c.dilation_h * (c.kernel_h - 1) - 1) / c.stride_h + 1,
                           (in.w + c.pad_left + c.pad_right - c.dilation_w * (c.kernel_w - 1) - 1) / c.stride_w + 1};
    return node("conv", std::move(c), {x}, out);
  }
  int concat(std::vector<int> parts) {
    graph::Shape out = shape(parts.front());
    out.c = 0;
    for (int p : parts) out.c += shape(p).c;
    return node("concat", graph::Concat{}, std::move(parts), out);
  }
  /// To maps of h x w.
  int rearrange(int x, graph::Rearrange r, int h, int w) {
    const auto c = static_cast<int>(r.channels.size());
    return node("rearrange", std::move(r), {x}, {c, h, w});
  }
  int affine(int x) {
    const int c = shape(x).c;
    graph::ChannelAffine a{values(c, 0.3), values(c, 0.5)};
    for (double& s : a.scale) s += s < 0 ? -0.5 : 0.5;
    return node("affine", std::move(a), {x}, shape(x));
  }
  int pixel_bias(int x) {
    return node("pixels", graph::PixelBias{values(static_cast<int>(shape(x).size()), 0.5)}, {x}, shape(x));
  }
  int sum(int a, int b) { return node("sum", graph::Sum{}, {a, b}, shape(a)); }
  int product(int a, int b) { return node("product", graph::Product{}, {a, b}, shape(a)); }
  int square(int x) { return product(x, x); }
  /// A map times one number per channel: squeeze-and-excitation, with a square for its activations.
  int excite(int x, int hidden) {
    const int c = shape(x).c;
    return product(x, conv(square(conv(mean(x), hidden, 1, 1, 0)), c, 1, 1, 0));
  }
  /// A polynomial of degree two with other coefficients in every channel, written as exporters do: (a x + b) x + c.
  int activation(int x) { return affine(product(affine(x), x)); }
  /// range: that its input is vouched for; 0: nobody does.
  int relu(int x, double range = 0) { return function(x, graph::Function::of(graph::Function::Kind::relu), range); }
  int function(int x, graph::Function f, double range = 0) {
    f.range = range;
    return node("function", std::move(f), {x}, shape(x));
  }
  int pool(int x, int kernel, int stride, int pad) {
    const graph::Shape in = shape(x);
    const graph::Shape out{in.c, (in.h + 2 * pad - kernel) / stride + 1, (in.w + 2 * pad - kernel) / stride + 1};
    return node("pool", graph::AveragePool{kernel, kernel, stride, stride, pad, pad, pad, pad, true}, {x}, out);
  }
  int pool(int x, graph::AveragePool p) {
    const graph::Shape in = shape(x);
    const graph::Shape out{in.c, (in.h + p.pad_top + p.pad_bottom - p.kernel_h) / p.stride_h + 1,
                           (in.w + p.pad_left + p.pad_right - p.kernel_w) / p.stride_w + 1};
    return node("pool", p, {x}, out);
  }
  int mean(int x) { return node("mean", graph::GlobalAveragePool{}, {x}, {shape(x).c, 1, 1}); }
  int flatten(int x) { return node("flatten", graph::Flatten{}, {x}, {static_cast<int>(shape(x).size()), 1, 1}); }
  int dense(int x, int outputs) {
    const int inputs = shape(x).c;
    return node("dense",
                graph::Dense{outputs, inputs, values(outputs * inputs, 1.5 / std::sqrt(inputs)), values(outputs, 0.5)},
                {x}, {outputs, 1, 1});
  }

  int pick(int lo, int hi) { return std::uniform_int_distribution<int>(lo, hi)(rng_); }
  bool chance() { return pick(0, 1) == 1; }

 private:
  int node(const std::string& kind, graph::Op op, std::vector<int> inputs, graph::Shape out) {
    network.nodes.push_back({kind + std::to_string(network.nodes.size()), std::move(op), std::move(inputs), out});
    return static_cast<int>(network.nodes.size()) - 1;
  }
  std::vector<double> values(int n, double bound) {
    std::uniform_real_distribution<double> uniform(-bound, bound);
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& x : v) x = uniform(rng_);
    return v;
  }

  std::mt19937_64 rng_;
};

/// A network of random structure that can run encrypted: convolutions, poolings, activations, shortcuts and a head.
inline graph::Network random_network(unsigned seed) {
  NetworkBuilder b(
      {1 + static_cast<int>(seed % 3), 5 + static_cast<int>(seed * 7 % 12), 5 + static_cast<int>(seed * 5 % 12)}, seed);
  const auto some_activation = [&](int x) {
    switch (b.pick(0, 3)) {
      case 0:
        return b.square(x);
      case 1:
        return b.activation(x);
      case 2:
        return b.sum(b.square(b.affine(x)), x);
      default:
        return b.affine(x);
    }
  };
  int x = 0;
  for (int blocks = b.pick(1, 4); blocks > 0; --blocks) {
    const int side = std::min(b.shape(x).h, b.shape(x).w), kernel = side >= 5 ? 1 + 2 * b.pick(0, 2) : 1;
    const int c = 2 * b.pick(1, 2), in_c = b.shape(x).c, groups = in_c % 2 == 0 && b.chance() ? 2 : 1;
    const int dilation = kernel == 3 && b.pick(0, 3) == 0 ? 2 : 1, pad = b.chance() ? dilation * (kernel - 1) / 2 : 0;
    if (side + 2 * pad < dilation * (kernel - 1) + 1) break;
    x = b.conv(x, c, kernel, side >= 4 ? b.pick(1, 2) : 1, pad, groups, dilation);
    if (b.chance()) x = b.affine(x);
    x = some_activation(x);
    if (b.chance()) {  // a residual branch
      const int y = b.conv(x, c, 3, 1, 1);
      const int deep = b.chance() ? some_activation(y) : y;
      const int shortcut = b.chance() ? x : b.conv(x, c, 1, 1, 0);
      x = some_activation(b.chance() ? b.sum(deep, shortcut) : b.sum(shortcut, deep));
    }
    if (b.shape(x).h >= 4 && b.shape(x).w >= 4 && b.pick(0, 2) == 0)
      x = b.chance() ? b.pool(x, 2, 2, 0) : b.pool(x, 3, 2, 1);
  }
  if (b.chance()) {
    x = b.mean(x);
    if (b.chance()) x = some_activation(x);
  } else {
    x = b.flatten(x);
    if (b.chance()) x = b.affine(x);
  }
  x = b.dense(x, b.pick(2, 5));
  if (b.chance()) {
    if (b.chance()) x = some_activation(x);
    x = b.dense(x, b.pick(2, 5));
  }
  if (b.pick(0, 3) == 0) x = some_activation(x);
  return b.network;
}

/// A small network of random structure with what random_network() lacks: convolutions of any shape, depthwise ones,
/// joined and rearranged channels, pools that leave pads out, and parts without any activation.
inline graph::Network structured_network(unsigned seed) {
  NetworkBuilder b(
      {1 + static_cast<int>(seed % 4), 4 + static_cast<int>(seed * 7 % 6), 4 + static_cast<int>(seed * 5 % 6)}, seed);
  const bool linear = b.pick(0, 4) == 0;
  const auto curved = [&](int x) {
    const auto is = [&](int v, std::string_view kind) {
      return b.network.nodes[static_cast<std::size_t>(v)].name.starts_with(kind);
    };
    if (is(x, "flatten")) x = b.network.nodes[static_cast<std::size_t>(x)].inputs.front();
    return is(x, "affine") || is(x, "product");
  };
  const auto maybe_activation = [&](int x) {
    if (linear || curved(x)) return x;
    return b.pick(0, 2) == 0 ? x : b.chance() ? b.square(x) : b.activation(x);
  };
  const auto same_size = [&](int x, int out_c) {
    const int kernel = 1 + 2 * b.pick(0, 1);
    return b.conv(x, out_c, kernel, 1, kernel / 2);
  };
  const auto any_rearrangement = [&](int x) {
    const graph::Shape in = b.shape(x);
    graph::Rearrange r{{}, b.pick(1, 2), b.pick(1, 2), b.pick(-1, 1), b.pick(-1, 1)};
    for (int count = b.pick(1, 4); count > 0; --count) r.channels.push_back(b.pick(-1, in.c - 1));
    r.channels.push_back(b.pick(0, in.c - 1));
    return b.rearrange(x, r, b.pick(1, std::min(6, in.h + 1)), b.pick(1, std::min(6, in.w + 1)));
  };
  int x = 0;
  for (int blocks = b.pick(2, 4); blocks > 0; --blocks) {
    const graph::Shape in = b.shape(x);
    switch (b.pick(0, 6)) {
      case 0: {
        graph::Conv2d c;
        c.out_c = 2 * b.pick(1, 2);
        c.kernel_h = b.pick(1, 3);
        c.kernel_w = b.pick(1, 3);
        c.stride_h = b.pick(1, 3);
        c.stride_w = b.pick(1, 3);
        c.dilation_h = b.pick(1, 2);
        c.dilation_w = b.pick(1, 2);
        c.pad_top = c.pad_left = c.pad_bottom = c.pad_right = b.pick(0, 2);
        if (in.c % 2 == 0) c.groups = b.pick(1, 2);
        if (in.h + 2 * c.pad_top < c.dilation_h * (c.kernel_h - 1) + 1 ||
            in.w + 2 * c.pad_left < c.dilation_w * (c.kernel_w - 1) + 1)
          break;
        x = b.conv(x, c);
        break;
      }
      case 1:
        x = b.conv(x, 2 * in.c, 3, 1, 1, in.c);
        break;
      case 2:
        x = b.concat({maybe_activation(x), maybe_activation(same_size(x, 2))});
        break;
      case 3:
        x = any_rearrangement(x);
        break;
      case 4:
        if (in.h >= 2 && in.w >= 2)
          x = b.pool(x, {.kernel_h = 3,
                         .kernel_w = 2,
                         .stride_h = b.pick(1, 2),
                         .stride_w = 1,
                         .pad_top = 1,
                         .pad_left = 1,
                         .pad_bottom = 1,
                         .pad_right = 0,
                         .count_pad = b.chance()});
        break;
      case 5: {  // a shortcut without weights: every second pixel, zeros for the further channels
        graph::Rearrange r{{}, 2, 2, 0, 0};
        for (int c = 0; c < in.c + 2; ++c) r.channels.push_back(c == 0 || c > in.c ? -1 : c - 1);
        const int deep = b.conv(x, in.c + 2, 3, 2, 1);
        x = b.sum(deep, b.rearrange(x, r, b.shape(deep).h, b.shape(deep).w));
        break;
      }
      default: {  // dense connections: both layers read the first
        const int first = maybe_activation(x), second = maybe_activation(same_size(first, 1));
        const int third = same_size(maybe_activation(b.concat({first, second})), 2);
        x = b.concat({first, second, third});
        break;
      }
    }
    if (b.shape(x).c > 12) x = b.conv(x, 3, 1, 1, 0);
    x = maybe_activation(x);
  }
  const auto features = [&](int v) { return b.chance() ? b.mean(v) : maybe_activation(b.flatten(v)); };
  x = b.chance() ? features(x) : b.concat({features(x), features(x)});
  if (b.chance() || linear) b.dense(x, b.pick(2, 5));
  return b.network;
}

}  // namespace sotto::test
