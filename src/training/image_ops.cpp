#include "training/image_ops.h"

#include <algorithm>

#include "base/error.h"
#include "base/index.h"

namespace sotto::training {

namespace {

using Kind = Op::Kind;
using Values = std::vector<double>;

// Calls f(weight, source, destination, count, stride) for every row of every tap of a convolution: index of the weight,
// of the row's first number on both sides, numbers of the row, and their distance at the source.
template <class F>
void for_each_row(const Shape& in, const Shape& out, const Value& kernel, const Window& w, F&& f) {
  std::size_t weight = 0;
  for (int o = 0; o < kernel.outs; ++o)
    for (int i = 0; i < in.channels; ++i)
      for (int ky = 0; ky < kernel.shape.height; ++ky)
        for (int kx = 0; kx < kernel.shape.width; ++kx, ++weight) {
          const int dy = ky - w.pad_top, dx = kx - w.pad_left;
          const auto rows = inside(out.height, w.stride_h, dy, in.height),
                     columns = inside(out.width, w.stride_w, dx, in.width);
          if (columns.last <= columns.first) continue;
          for (int y = rows.first; y < rows.last; ++y) {
            const int from = (i * in.height + y * w.stride_h + dy) * in.width + columns.first * w.stride_w + dx;
            const int to = (o * out.height + y) * out.width + columns.first;
            f(weight, from, to, columns.last - columns.first, w.stride_w);
          }
        }
}

void convolve(const Value& in, const Value& out, const Value& kernel, const Window& window, const Values& x,
              const Values& weights, Values& y) {
  for_each_row(in.shape, out.shape, kernel, window, [&](std::size_t w, int from, int to, int count, int stride) {
    const double* source = x.data() + from;
    double* destination = y.data() + to;
    for (int k = 0; k < count; ++k) destination[k] += weights[w] * source[k * stride];
  });
}

void convolve_transposed(const Value& in, const Value& out, const Value& kernel, const Window& window, const Values& g,
                         const Values& weights, Values& x) {
  for_each_row(in.shape, out.shape, kernel, window, [&](std::size_t w, int from, int to, int count, int stride) {
    const double* source = g.data() + to;
    double* destination = x.data() + from;
    for (int k = 0; k < count; ++k) destination[k * stride] += weights[w] * source[k];
  });
}

void convolve_weights(const Value& in, const Value& out, const Value& kernel, const Window& window, const Values& x,
                      const Values& g, Values& weights) {
  for_each_row(in.shape, out.shape, kernel, window, [&](std::size_t w, int from, int to, int count, int stride) {
    const double *left = x.data() + from, *right = g.data() + to;
    double sum = 0;
    for (int k = 0; k < count; ++k) sum += left[k * stride] * right[k];
    weights[w] += sum;
  });
}

// Calls f(before, behind) for every pair of numbers that a pool joins.
template <class F>
void for_each_pooled(const Shape& in, const Shape& out, const Window& w, F&& f) {
  for (int c = 0; c < out.channels; ++c)
    for (int y = 0; y < out.height; ++y)
      for (int x = 0; x < out.width; ++x)
        for (int ky = 0; ky < w.kernel_h; ++ky)
          for (int kx = 0; kx < w.kernel_w; ++kx) {
            const int iy = y * w.stride_h + ky - w.pad_top, ix = x * w.stride_w + kx - w.pad_left;
            if (iy < 0 || iy >= in.height || ix < 0 || ix >= in.width) continue;
            f(static_cast<std::size_t>((c * in.height + iy) * in.width + ix),
              static_cast<std::size_t>((c * out.height + y) * out.width + x));
          }
}

// y[i] + scale * x[i]
void add_scaled(double scale, const double* x, double* y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) y[i] += scale * x[i];
}

}  // namespace

void run_op(const Step& step, const Op& op, std::vector<std::vector<double>>& values) {
  const auto value = [&](std::size_t k) -> const Value& { return step.value(op.inputs[k]); };
  const auto in = [&](std::size_t k) -> const Values& { return values[static_cast<std::size_t>(op.inputs[k])]; };
  const Value& made = step.value(op.output);
  Values& out = values[static_cast<std::size_t>(op.output)];
  if (made.per_image()) out.assign(made.size(), op.kind == Kind::affine ? op.shift : 0.0);
  switch (op.kind) {
    case Kind::convolve:
      return convolve(value(0), made, value(1), op.window, in(0), in(1), out);
    case Kind::convolve_transposed:
      return convolve_transposed(made, value(0), value(1), op.window, in(0), in(1), out);
    case Kind::convolve_weights:
      return convolve_weights(value(0), value(1), made, op.window, in(0), in(1), out);
    case Kind::contract:
      for (std::size_t o = 0, each = in(0).size(); o < out.size(); ++o)
        for (std::size_t i = 0; i < each; ++i) out[o] += in(1)[o * each + i] * in(0)[i];
      return;
    case Kind::contract_transposed:
      for (std::size_t o = 0; o < in(0).size(); ++o)
        add_scaled(in(0)[o], in(1).data() + o * out.size(), out.data(), out.size());
      return;
    case Kind::contract_weights:
      for (std::size_t o = 0, each = in(0).size(); o < in(1).size(); ++o)
        add_scaled(in(1)[o], in(0).data(), out.data() + o * each, each);
      return;
    case Kind::add_bias:
      for (std::size_t i = 0, plane = made.shape.plane(); i < out.size(); ++i) out[i] = in(0)[i] + in(1)[i / plane];
      return;
    case Kind::sum_pixels:
      for (std::size_t i = 0, plane = value(0).shape.plane(); i < in(0).size(); ++i) out[i / plane] += in(0)[i];
      return;
    case Kind::pool:
      return for_each_pooled(value(0).shape, made.shape, op.window, [&](std::size_t before, std::size_t behind) {
        out[behind] += in(0)[before] / (op.window.kernel_h * op.window.kernel_w);
      });
    case Kind::pool_transposed:
      return for_each_pooled(made.shape, value(0).shape, op.window, [&](std::size_t before, std::size_t behind) {
        out[before] += in(0)[behind] / (op.window.kernel_h * op.window.kernel_w);
      });
    case Kind::mean:
      for (std::size_t i = 0, plane = value(0).shape.plane(); i < in(0).size(); ++i)
        out[i / plane] += in(0)[i] / static_cast<double>(plane);
      return;
    case Kind::mean_transposed:
      for (std::size_t i = 0, plane = made.shape.plane(); i < out.size(); ++i)
        out[i] = in(0)[i / plane] / static_cast<double>(plane);
      return;
    case Kind::product:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = in(0)[i] * in(1)[i];
      return;
    case Kind::square:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = in(0)[i] * in(0)[i];
      return;
    case Kind::channels: {
      const auto from =
          in(0).begin() + static_cast<std::ptrdiff_t>(op.first) * static_cast<std::ptrdiff_t>(made.shape.plane());
      std::copy_n(from, out.size(), out.begin());
      return;
    }
    case Kind::affine:
      check(made.per_image(), "an affine of weights");
      for (std::size_t k = 0; k < op.inputs.size(); ++k)
        add_scaled(op.factors[k], in(k).data(), out.data(), out.size());
      return;
  }
  internal_error("unknown op");
}

}  // namespace sotto::training
