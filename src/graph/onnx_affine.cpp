#include "graph/onnx_affine.h"

#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

// A constant over the elements of `dims` as one number per channel; nullopt if it differs within a channel.
std::optional<std::vector<double>> per_channel(const OnnxNode& n, const Constant& c, const Dims& dims, const Shape& s) {
  const std::vector<double> values = reals_of(n, c);
  const auto channels = static_cast<std::size_t>(s.c);
  if (values.size() == 1) return std::vector<double>(channels, values[0]);
  // The constant may repeat along the last axes: one place for `repeats` elements.
  Dims axes = dims, strides = broadcast_strides(n, c.dims, dims);
  std::size_t repeats = 1;
  for (; !axes.empty() && strides.back() == 0; axes.pop_back(), strides.pop_back())
    repeats *= static_cast<std::size_t>(axes.back());
  const std::vector<std::size_t> from = places(axes, strides);
  const std::size_t pixels = from.size() * repeats / channels;
  std::vector<double> out;
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::size_t first = channel * pixels / repeats, last = ((channel + 1) * pixels - 1) / repeats;
    out.push_back(values[from[first]]);
    for (std::size_t k = first; k <= last; ++k)
      if (values[from[k]] != out.back()) return std::nullopt;
  }
  return out;
}

// A constant over the elements of `dims`, element by element.
std::vector<double> per_element(const OnnxNode& n, const Constant& c, const Dims& dims) {
  const std::vector<double> values = reals_of(n, c);
  std::vector<double> out;
  for (std::size_t from : places(dims, broadcast_strides(n, c.dims, dims))) out.push_back(values[from]);
  return out;
}

// The constant without leading axes of size 1 beyond the value's, that of the batch among them.
Constant of_one_image(const OnnxNode& n, Constant c, const Dims& dims) {
  while (c.dims.size() > dims.size()) {
    if (c.dims.front() != 1 || c.dims.size() > dims.size() + 1)
      n.fail("the constant has more dimensions than the value");
    c.dims.erase(c.dims.begin());
  }
  if (c.size() == 0) n.fail("the constant is empty");
  return c;
}

}  // namespace

ChannelAffine negative(int channels) {
  const auto c = static_cast<std::size_t>(channels);
  return {std::vector<double>(c, -1.0), std::vector<double>(c, 0.0)};
}

Value affine(Builder& b, const OnnxNode& n, const Value& v, const Constant& scale, const Constant& shift) {
  const Constant factors = of_one_image(n, scale, v.dims), terms = of_one_image(n, shift, v.dims);
  Value x = v;
  for (;;) {
    const Shape s = b.shape(x.node);
    auto a = per_channel(n, factors, x.dims, s), k = per_channel(n, terms, x.dims, s);
    if (a && k) {
      x.node = b.add(n.name(), ChannelAffine{std::move(*a), std::move(*k)}, {x.node}, s);
      return x;
    }
    if (a) {
      const std::vector<double> none(a->size());
      x.node = b.add(n.name(), ChannelAffine{std::move(*a), none}, {x.node}, s);
      x.node = b.add(n.name(), PixelBias{per_element(n, terms, x.dims)}, {x.node}, s);
      return x;
    }
    if (x.dims.size() != 1 || s == Shape{s.c, 1, 1})
      n.fail("factors that differ from pixel to pixel are not supported: they must be one number or one per channel");
    x.node = b.flat(n, x);
  }
}

void set_affine(Builder& b, const OnnxNode& n, const Value& v, const Constant& scale, const Constant& shift) {
  b.set_value(n, affine(b, n, v, scale, shift));
}

}  // namespace sotto::graph
