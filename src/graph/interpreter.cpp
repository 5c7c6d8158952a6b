#include "graph/interpreter.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/index.h"
#include "base/parallel.h"
#include "simd/planes.h"

namespace sotto::graph {

namespace {

using Values = std::vector<double>;

constexpr std::size_t kLeastPlane = 16;  // pixels; sums of shifted planes gain nothing with smaller ones

// With stride 1: sums of shifted planes.
void add_planes(const Conv2d& c, const Shape& in, const Shape& out, const Values& x, Values& y) {
  const int in_group = c.in_c / c.groups, out_group = c.out_c / c.groups;
  const simd::Taps rows = simd::touching(c.kernel_h, c.dilation_h, c.pad_top, out.h, in.h),
                   columns = simd::touching(c.kernel_w, c.dilation_w, c.pad_left, out.w, in.w);
  if (rows.count == 0 || columns.count == 0) return;
  const auto dy = [&](int ky) { return ky * c.dilation_h - c.pad_top; };
  const auto dx = [&](int kx) { return kx * c.dilation_w - c.pad_left; };
  const int last_y = rows.first + rows.count - 1, last_x = columns.first + columns.count - 1;
  const simd::Planes planes(x, in.h, in.w, out.h, out.w, {dy(rows.first), dy(last_y), dx(columns.first), dx(last_x)});
  std::vector<const double*> sources;
  std::vector<double> weights, scratch;
  for (int o = 0; o < c.out_c; ++o) {
    sources.clear();
    weights.clear();
    for (int i = 0; i < in_group; ++i)
      for (int ky = rows.first; ky <= last_y; ++ky)
        for (int kx = columns.first; kx <= last_x; ++kx) {
          sources.push_back(planes.at(o / out_group * in_group + i, dy(ky), dx(kx)));
          weights.push_back(
              c.weights[((static_cast<std::size_t>(o) * in_group + i) * c.kernel_h + ky) * c.kernel_w + kx]);
        }
    planes.add(y.data() + static_cast<std::size_t>(o) * out.h * out.w, sources, weights, scratch);
  }
}

Values convolve(const Conv2d& c, const Shape& in, const Shape& out, const Values& x) {
  Values y(out.size());
  const std::size_t plane = static_cast<std::size_t>(out.h) * out.w;
  for (int o = 0; o < c.out_c; ++o) std::fill_n(y.data() + static_cast<std::size_t>(o) * plane, plane, c.bias[o]);
  if (c.stride_h == 1 && c.stride_w == 1 && plane >= kLeastPlane) {
    add_planes(c, in, out, x, y);
    return y;
  }
  const int in_group = c.in_c / c.groups, out_group = c.out_c / c.groups;
  for (int o = 0; o < c.out_c; ++o) {
    for (int i = 0; i < in_group; ++i) {
      const double* src = x.data() + static_cast<std::size_t>(o / out_group * in_group + i) * in.h * in.w;
      const double* w = c.weights.data() + (static_cast<std::size_t>(o) * in_group + i) * c.kernel_h * c.kernel_w;
      for (int ky = 0; ky < c.kernel_h; ++ky) {
        for (int kx = 0; kx < c.kernel_w; ++kx) {
          const double weight = w[ky * c.kernel_w + kx];
          const int dx = kx * c.dilation_w - c.pad_left;
          const int dy = ky * c.dilation_h - c.pad_top;
          const auto rows = inside(out.h, c.stride_h, dy, in.h);
          const auto [x0, x1] = inside(out.w, c.stride_w, dx, in.w);
          for (int oy = rows.first; oy < rows.last; ++oy) {
            const double* row = src + static_cast<std::size_t>(oy * c.stride_h + dy) * in.w;
            double* dst = y.data() + static_cast<std::size_t>(o) * plane + static_cast<std::size_t>(oy) * out.w;
            for (int ox = x0; ox < x1; ++ox) dst[ox] += weight * row[ox * c.stride_w + dx];
          }
        }
      }
    }
  }
  return y;
}

Values pool(const AveragePool& p, const Shape& in, const Shape& out, const Values& x) {
  Values y(out.size());
  for (int c = 0; c < out.c; ++c) {
    for (int oy = 0; oy < out.h; ++oy) {
      for (int ox = 0; ox < out.w; ++ox) {
        double sum = 0;
        int count = 0;
        for (int ky = 0; ky < p.kernel_h; ++ky) {
          for (int kx = 0; kx < p.kernel_w; ++kx) {
            const int iy = oy * p.stride_h + ky - p.pad_top, ix = ox * p.stride_w + kx - p.pad_left;
            if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
            sum += x[(static_cast<std::size_t>(c) * in.h + iy) * in.w + ix];
            ++count;
          }
        }
        y[(static_cast<std::size_t>(c) * out.h + oy) * out.w + ox] =
            sum / (p.count_pad ? p.kernel_h * p.kernel_w : count);
      }
    }
  }
  return y;
}

Values rearrange(const Rearrange& r, const Shape& in, const Shape& out, const Values& x) {
  Values y(out.size());
  for (int c = 0; c < out.c; ++c) {
    if (r.channels[c] < 0) continue;
    for (int oy = 0; oy < out.h; ++oy) {
      for (int ox = 0; ox < out.w; ++ox) {
        const int iy = oy * r.stride_h - r.pad_top, ix = ox * r.stride_w - r.pad_left;
        if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
        y[(static_cast<std::size_t>(c) * out.h + oy) * out.w + ox] =
            x[(static_cast<std::size_t>(r.channels[c]) * in.h + iy) * in.w + ix];
      }
    }
  }
  return y;
}

struct Evaluate {
  const Network& network;
  const Node& node;
  const std::vector<Values>& values;

  [[nodiscard]] const Values& in(int k) const { return values[node.inputs[k]]; }
  [[nodiscard]] const Shape& in_shape(int k) const { return network.nodes[node.inputs[k]].shape; }
  template <class F>
  Values per_channel(F f) const {
    Values y = in(0);
    const std::size_t plane = static_cast<std::size_t>(node.shape.h) * node.shape.w;
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = f(k / plane, y[k]);
    return y;
  }

  Values operator()(const Input&) const { internal_error("the input is not computed"); }
  Values operator()(const Conv2d& c) const { return convolve(c, in_shape(0), node.shape, in(0)); }
  Values operator()(const ChannelAffine& a) const {
    return per_channel([&](std::size_t c, double x) { return a.scale[c] * x + a.shift[c]; });
  }
  Values operator()(const PixelBias& p) const {
    Values y = in(0);
    for (std::size_t k = 0; k < y.size(); ++k) y[k] += p.values[k];
    return y;
  }
  Values operator()(const Sum&) const {
    Values y = in(0);
    for (std::size_t k = 0; k < y.size(); ++k) y[k] += in(1)[k];
    return y;
  }
  Values operator()(const Product&) const {
    Values y = in(0);
    const std::size_t each = y.size() / in(1).size();  // pixels that share a factor
    for (std::size_t k = 0; k < y.size(); ++k) y[k] *= in(1)[k / each];
    return y;
  }
  Values operator()(const Function& f) const {
    Values y = in(0);
    f.apply(y);
    return y;
  }
  Values operator()(const AveragePool& p) const { return pool(p, in_shape(0), node.shape, in(0)); }
  Values operator()(const GlobalAveragePool&) const {
    Values y(static_cast<std::size_t>(node.shape.c));
    const std::size_t plane = in(0).size() / y.size();
    for (std::size_t k = 0; k < in(0).size(); ++k) y[k / plane] += in(0)[k];
    for (double& v : y) v /= static_cast<double>(plane);
    return y;
  }
  Values operator()(const Flatten&) const { return in(0); }
  Values operator()(const Dense& d) const {
    Values y = d.bias;
    for (int o = 0; o < d.out; ++o)
      for (int i = 0; i < d.in; ++i) y[o] += d.weights[static_cast<std::size_t>(o) * d.in + i] * in(0)[i];
    return y;
  }
  Values operator()(const Concat&) const {
    Values y;
    for (std::size_t k = 0; k < node.inputs.size(); ++k)
      y.insert(y.end(), in(static_cast<int>(k)).begin(), in(static_cast<int>(k)).end());
    return y;
  }
  Values operator()(const Rearrange& r) const { return rearrange(r, in_shape(0), node.shape, in(0)); }
};

}  // namespace

std::vector<double> evaluate(const Network& network, std::span<const double> image,
                             const std::function<void(int, std::span<const double>)>& observe) {
  if (image.size() != network.input_shape().size())
    throw Error(ErrorCode::bad_input, "the image has another size than the network's input");
  std::vector<int> last_use(network.nodes.size(), -1);
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    for (int k : network.nodes[i].inputs) last_use[k] = static_cast<int>(i);
  std::vector<Values> values(network.nodes.size());
  values[0].assign(image.begin(), image.end());
  if (observe) observe(0, values[0]);
  for (std::size_t i = 1; i < network.nodes.size(); ++i) {
    values[i] = std::visit(Evaluate{network, network.nodes[i], values}, network.nodes[i].op);
    if (observe) observe(static_cast<int>(i), values[i]);
    for (int k : network.nodes[i].inputs)
      if (last_use[k] == static_cast<int>(i)) Values().swap(values[k]);
  }
  return values.back();
}

std::vector<std::vector<double>> evaluate_all(const Network& network, const std::vector<std::vector<double>>& images,
                                              const std::function<void(std::size_t)>& progress) {
  std::vector<std::vector<double>> out(images.size());
  std::size_t done = 0;
  std::mutex mutex;
  parallel_for(images.size(), [&](std::size_t i) {
    out[i] = evaluate(network, images[i]);
    const std::scoped_lock lock(mutex);
    if (progress) progress(++done);
  });
  return out;
}

}  // namespace sotto::graph
