#include "compiler/linear_form.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "circuit/term.h"

namespace sotto::compiler {

using circuit::Block;
using circuit::Shape;
using circuit::Term;

namespace {

// What a value's term picks for each output channel.
struct Pick {
  int channel = -1;
  double alpha = 0;
};

std::vector<Pick> picks_of(const Term& t, const Shape& in, const Shape& out) {
  std::vector<Pick> picks(static_cast<std::size_t>(out.channels));
  circuit::for_each_pair(t, in, out, [&](int o, int i, const double* w) {
    picks[static_cast<std::size_t>(o)] = {i, *w};
  });
  return picks;
}

// Appends to `term` what the outputs [out, out + outs) read from inputs [in, in + ins) of a value, through one of its
// terms: add(output, input, alpha, weights) adds alpha times the weights of a pair.
template <class F>
void append_block(Term& term, const Block& outer, const std::vector<Pick>& picks, std::size_t per_pair, F&& add) {
  std::map<int, std::vector<int>> inputs;  // of the form, by channel of the value
  for (int c = outer.in; c < outer.in + outer.ins; ++c)
    if (const Pick& p = picks[static_cast<std::size_t>(c)]; p.channel >= 0) inputs[p.channel].push_back(c);
  for (auto first = inputs.begin(); first != inputs.end();) {
    auto last = first;
    int ins = 0;
    while (last != inputs.end() && last->first == first->first + ins) ++last, ++ins;
    term.blocks.push_back({outer.out, outer.outs, first->first, ins});
    for (int o = outer.out; o < outer.out + outer.outs; ++o) {
      for (auto it = first; it != last; ++it) {
        const std::size_t at = term.weights.size();
        term.weights.resize(at + per_pair);
        for (int c : it->second) add(o, c, picks[static_cast<std::size_t>(c)].alpha, term.weights.data() + at);
      }
    }
    first = last;
  }
}

// A term of one block of all channels needs no list.
void simplify(Term& t, const Shape& in, const Shape& out) {
  if (t.blocks.size() == 1 && t.blocks.front() == Block{0, out.channels, 0, in.channels}) t.blocks.clear();
}

// Whether a window of taps over a form of `size` pixels in one direction reaches beyond them to pixels that exist in
// the source of a term of that form.
bool leaks(int outputs, int kernel, int dilation, int stride, int pad, int size, int source_size, const Term& t,
           bool vertical) {
  const int taps = vertical ? t.kernel_h : t.kernel_w, apart = vertical ? t.dilation_h : t.dilation_w;
  const int step = vertical ? t.stride_h : t.stride_w, skip = vertical ? t.pad_top : t.pad_left;
  for (int y = 0; y < outputs; ++y) {
    for (int k = 0; k < kernel; ++k) {
      const int at = y * stride + k * dilation - pad;
      if (at >= 0 && at < size) continue;
      for (int tap = 0; tap < taps; ++tap) {
        const int source = at * step + tap * apart - skip;
        if (source >= 0 && source < source_size) return true;
      }
    }
  }
  return false;
}

// The rows of a term for channels that pick others of its form (-1: none).
Term moved_rows(const Term& t, const Shape& in, const Shape& from, const std::vector<int>& channels) {
  const circuit::WeightTable table(t, in, from);
  std::vector<std::vector<Block>> by_output(static_cast<std::size_t>(from.channels));
  for (const Block& b : circuit::blocks_of(t, in, from))
    for (int o = b.out; o < b.out + b.outs; ++o) by_output[static_cast<std::size_t>(o)].push_back(b);
  Term moved = t;
  moved.blocks.clear();
  moved.weights.clear();
  const std::size_t per_pair = circuit::weights_per_pair(t, in);
  const auto count = static_cast<int>(channels.size());
  const auto inputs_of = [&](int c) {  // blocks that differ in their outputs only are equal here
    std::vector<Block> list;
    if (channels[static_cast<std::size_t>(c)] >= 0)
      for (const Block& b : by_output[static_cast<std::size_t>(channels[static_cast<std::size_t>(c)])])
        list.push_back({0, 0, b.in, b.ins});
    return list;
  };
  for (int c = 0; c < count;) {
    const std::vector<Block> inputs = inputs_of(c);
    int end = c + 1;
    while (end < count && inputs_of(end) == inputs) ++end;
    for (const Block& b : inputs) {
      moved.blocks.push_back({c, end - c, b.in, b.ins});
      for (int o = c; o < end; ++o) {
        const double* w = table.find(channels[static_cast<std::size_t>(o)], b.in);
        moved.weights.insert(moved.weights.end(), w, w + static_cast<std::size_t>(b.ins) * per_pair);
      }
    }
    c = end;
  }
  return moved;
}

bool uniform(const LinearForm& l) {
  const std::size_t plane = l.plane();
  for (std::size_t k = 0; k < l.bias.size(); ++k)
    if (l.bias[k] != l.bias[k / plane * plane]) return false;
  return true;
}

// A convolution of the value's bias: zero padding meets it along the border.
std::vector<double> convolved_bias(const LinearForm& value, const graph::Conv2d& c, const graph::Shape& shape) {
  const int in_group = c.in_c / c.groups, out_group = c.out_c / c.groups, taps = c.kernel_h * c.kernel_w;
  const std::size_t plane = value.plane(), pixels = static_cast<std::size_t>(shape.h) * shape.w;
  const bool same = uniform(value);
  std::vector<double> bias(static_cast<std::size_t>(shape.c) * pixels);
  for (int o = 0; o < c.out_c; ++o) {
    double* to = bias.data() + static_cast<std::size_t>(o) * pixels;
    const double* weights = c.weights.data() + static_cast<std::size_t>(o) * in_group * taps;
    const double* from = value.bias.data() + static_cast<std::size_t>(o / out_group * in_group) * plane;
    std::vector<double> tap_bias(static_cast<std::size_t>(taps));  // if the bias is the same at all pixels
    for (int i = 0; i < in_group; ++i)
      for (int k = 0; k < taps; ++k) tap_bias[static_cast<std::size_t>(k)] += weights[i * taps + k] * from[i * plane];
    for (int y = 0; y < shape.h; ++y) {
      for (int x = 0; x < shape.w; ++x, ++to) {
        for (int k = 0; k < taps; ++k) {
          const int iy = y * c.stride_h + k / c.kernel_w * c.dilation_h - c.pad_top;
          const int ix = x * c.stride_w + k % c.kernel_w * c.dilation_w - c.pad_left;
          if (iy < 0 || iy >= value.shape.height || ix < 0 || ix >= value.shape.width) continue;
          if (same) {
            *to += tap_bias[static_cast<std::size_t>(k)];
            continue;
          }
          const std::size_t pixel = static_cast<std::size_t>(iy) * value.shape.width + ix;
          for (int i = 0; i < in_group; ++i) *to += weights[i * taps + k] * from[i * plane + pixel];
        }
      }
    }
  }
  return bias;
}

// A full connection of a value by blocks; weight(output, channel, pixel), all of the value. even: it is the same for
// all pixels.
template <class F>
LinearForm connected(const circuit::Circuit& circuit, const LinearForm& value, int outputs,
                     const std::vector<Block>& blocks, bool even, F weight) {
  LinearForm l{{outputs, 1, 1}, {}, {}, value.depth};
  l.bias.resize(static_cast<std::size_t>(outputs));
  const auto pixels = static_cast<int>(value.plane());
  for (const Block& b : blocks)
    for (int o = b.out; o < b.out + b.outs; ++o)
      for (int c = b.in; c < b.in + b.ins; ++c)
        for (int p = 0; p < pixels; ++p)
          l.bias[static_cast<std::size_t>(o)] += weight(o, c, p) * value.bias[static_cast<std::size_t>(c * pixels + p)];
  for (const Term& from : value.terms) {
    const Shape& in = circuit.value(from.source).shape;
    const std::vector<Pick> picks = picks_of(from, in, value.shape);
    Term t;
    t.kind = Term::Kind::full;
    t.source = from.source;
    // If every pixel of the source is read.
    t.even = even && value.plane() == static_cast<std::size_t>(in.height) * in.width && from.stride_h == 1 &&
             from.stride_w == 1 && from.pad_top == 0 && from.pad_left == 0;
    for (const Block& b : blocks)
      append_block(t, b, picks, circuit::weights_per_pair(t, in), [&](int o, int c, double alpha, double* to) {
        if (t.even) {
          *to += alpha * weight(o, c, 0);
          return;
        }
        for (int p = 0; p < pixels; ++p) {
          const int y = p / value.shape.width * from.stride_h - from.pad_top;
          const int x = p % value.shape.width * from.stride_w - from.pad_left;
          if (y >= 0 && y < in.height && x >= 0 && x < in.width) to[y * in.width + x] += alpha * weight(o, c, p);
        }
      });
    if (t.blocks.empty()) continue;
    simplify(t, in, l.shape);
    l.terms.push_back(std::move(t));
  }
  return l;
}

}  // namespace

bool spills(const circuit::Circuit& circuit, const LinearForm& l) {
  return std::ranges::any_of(l.terms, [&](const Term& t) {
    const Shape& in = circuit.value(t.source).shape;
    return t.kind == Term::Kind::full && in.height * in.width > 1;
  });
}

LinearForm value_form(const circuit::Circuit& circuit, int value, int depth, const std::vector<double>& alpha,
                      const std::vector<double>& beta) {
  const Shape& source = circuit.value(value).shape;
  LinearForm l{source, {}, {}, depth};
  Term t;
  t.source = value;
  t.weights = alpha;
  for (int c = 0; c < source.channels; ++c) {
    t.blocks.push_back({c, 1, c, 1});
    l.bias.insert(l.bias.end(), l.plane(), beta[static_cast<std::size_t>(c)]);
  }
  simplify(t, source, source);
  l.terms.push_back(std::move(t));
  return l;
}

void scale(LinearForm& l, const std::vector<double>& factor, const std::vector<double>& shift) {
  for (Term& t : l.terms) {
    std::size_t pairs = 0;
    for (const Block& b : t.blocks) pairs += static_cast<std::size_t>(b.outs) * static_cast<std::size_t>(b.ins);
    double* w = t.weights.data();
    if (t.blocks.empty()) {
      const std::size_t row = t.weights.size() / static_cast<std::size_t>(l.shape.channels);
      for (std::size_t k = 0; k < t.weights.size(); ++k) w[k] *= factor[k / row];
      continue;
    }
    const std::size_t per_pair = t.weights.size() / pairs;
    for (const Block& b : t.blocks)
      for (int o = b.out; o < b.out + b.outs; ++o)
        for (std::size_t k = 0; k < static_cast<std::size_t>(b.ins) * per_pair; ++k, ++w)
          *w *= factor[static_cast<std::size_t>(o)];
  }
  for (std::size_t k = 0; k < l.bias.size(); ++k) l.bias[k] = l.bias[k] * factor[k / l.plane()] + shift[k / l.plane()];
}

LinearForm concat(const circuit::Circuit& circuit, std::vector<LinearForm> parts) {
  LinearForm l{parts.front().shape, {}, {}, 0};
  l.shape.channels = 0;
  for (const LinearForm& p : parts) l.shape.channels += p.shape.channels;
  int before = 0;
  for (LinearForm& p : parts) {
    for (Term& t : p.terms) {
      const Shape& in = circuit.value(t.source).shape;
      t.blocks = circuit::blocks_of(t, in, p.shape);
      for (Block& b : t.blocks) b.out += before;
      simplify(t, in, l.shape);
      l.terms.push_back(std::move(t));
    }
    l.bias.insert(l.bias.end(), p.bias.begin(), p.bias.end());
    l.depth = std::max(l.depth, p.depth);
    before += p.shape.channels;
  }
  return l;
}

std::optional<LinearForm> rearranged(const circuit::Circuit& circuit, const LinearForm& l, const graph::Rearrange& r,
                                     const graph::Shape& shape) {
  const Shape& from = l.shape;
  LinearForm out{{shape.c, shape.h, shape.w}, {}, {}, l.depth};
  // The pixel of `l` at (y, x); -1 if there is none.
  const auto pixel = [&](int y, int x) {
    const int sy = y * r.stride_h - r.pad_top, sx = x * r.stride_w - r.pad_left;
    return sy < 0 || sy >= from.height || sx < 0 || sx >= from.width ? -1 : sy * from.width + sx;
  };
  const std::size_t pixels = out.plane();
  for (int c = 0; c < shape.c; ++c)
    for (int y = 0; y < shape.h; ++y)
      for (int x = 0; x < shape.w; ++x) {
        const int channel = r.channels[static_cast<std::size_t>(c)], p = pixel(y, x);
        out.bias.push_back(channel < 0 || p < 0 ? 0 : l.bias[static_cast<std::size_t>(channel) * l.plane() + p]);
      }
  for (const Term& t : l.terms) {
    const Shape& in = circuit.value(t.source).shape;
    if (t.kind == Term::Kind::full && (pixels != 1 || pixel(0, 0) < 0)) return std::nullopt;
    Term moved = moved_rows(t, in, from, r.channels);
    if (moved.blocks.empty()) continue;
    simplify(moved, in, out.shape);
    if (t.kind == Term::Kind::convolution) {
      moved.stride_h *= r.stride_h;
      moved.stride_w *= r.stride_w;
      moved.pad_top += r.pad_top * t.stride_h;
      moved.pad_left += r.pad_left * t.stride_w;
      // Where `l` has no pixel, the term must not read its tensor.
      const bool reads_more = leaks(shape.h, 1, 1, r.stride_h, r.pad_top, from.height, in.height, t, true) ||
                              leaks(shape.w, 1, 1, r.stride_w, r.pad_left, from.width, in.width, t, false);
      moved.map.clear();
      if (reads_more || !t.map.empty()) {
        for (int y = 0; y < shape.h; ++y)
          for (int x = 0; x < shape.w; ++x) {
            const int p = pixel(y, x);
            moved.map.push_back(p < 0 ? 0 : t.map.empty() ? 1 : t.map[static_cast<std::size_t>(p)]);
          }
      }
    }
    out.terms.push_back(std::move(moved));
  }
  return out;
}

bool picks(const circuit::Circuit& circuit, const LinearForm& l) {
  return std::all_of(l.terms.begin(), l.terms.end(), [&](const Term& t) {
    if (t.kind != Term::Kind::convolution || t.kernel_h != 1 || t.kernel_w != 1 || !t.map.empty()) return false;
    std::vector<bool> picked(static_cast<std::size_t>(l.shape.channels));
    bool once = true;
    circuit::for_each_pair(t, circuit.value(t.source).shape, l.shape, [&](int o, int, const double*) {
      once = once && !picked[static_cast<std::size_t>(o)];
      picked[static_cast<std::size_t>(o)] = true;
    });
    return once;
  });
}

std::optional<LinearForm> convolved(const circuit::Circuit& circuit, const LinearForm& value, const graph::Conv2d& c,
                                    const graph::Shape& shape, const std::vector<double>& map) {
  LinearForm l{{shape.c, shape.h, shape.w}, {}, convolved_bias(value, c, shape), value.depth};
  const std::size_t pixels = l.plane();
  for (std::size_t k = 0; k < l.bias.size(); ++k)
    l.bias[k] = l.bias[k] * (map.empty() ? 1 : map[k % pixels]) + c.bias[k / pixels];
  const int in_group = c.in_c / c.groups, out_group = c.out_c / c.groups;
  const auto taps = static_cast<std::size_t>(c.kernel_h) * static_cast<std::size_t>(c.kernel_w);
  for (const Term& from : value.terms) {
    const Shape& in = circuit.value(from.source).shape;
    if (leaks(shape.h, c.kernel_h, c.dilation_h, c.stride_h, c.pad_top, value.shape.height, in.height, from, true))
      return std::nullopt;
    if (leaks(shape.w, c.kernel_w, c.dilation_w, c.stride_w, c.pad_left, value.shape.width, in.width, from, false))
      return std::nullopt;
    const std::vector<Pick> picks = picks_of(from, in, value.shape);
    Term t;
    t.source = from.source;
    t.kernel_h = c.kernel_h;
    t.kernel_w = c.kernel_w;
    t.stride_h = c.stride_h * from.stride_h;
    t.stride_w = c.stride_w * from.stride_w;
    t.dilation_h = c.dilation_h * from.stride_h;
    t.dilation_w = c.dilation_w * from.stride_w;
    t.pad_top = c.pad_top * from.stride_h + from.pad_top;
    t.pad_left = c.pad_left * from.stride_w + from.pad_left;
    t.map = map;
    for (int g = 0; g < c.groups; ++g)
      append_block(t, {g * out_group, out_group, g * in_group, in_group}, picks, taps,
                   [&](int o, int i, double alpha, double* to) {
                     const double* w =
                         c.weights.data() + (static_cast<std::size_t>(o) * in_group + (i - g * in_group)) * taps;
                     for (std::size_t k = 0; k < taps; ++k) to[k] += alpha * w[k];
                   });
    if (t.blocks.empty()) continue;
    simplify(t, in, l.shape);
    l.terms.push_back(std::move(t));
  }
  return l;
}

LinearForm fully_connected(const circuit::Circuit& circuit, const LinearForm& value, const std::vector<double>& weights,
                           const std::vector<double>& bias) {
  const int outputs = static_cast<int>(bias.size()), channels = value.shape.channels;
  const std::size_t pixels = value.plane();
  const bool of_means = weights.size() == bias.size() * static_cast<std::size_t>(channels);
  LinearForm l = connected(circuit, value, outputs, {{0, outputs, 0, channels}}, of_means, [&](int o, int c, int p) {
    const std::size_t pair = static_cast<std::size_t>(o) * channels + c;
    return of_means ? weights[pair] / static_cast<double>(pixels) : weights[pair * pixels + p];
  });
  for (std::size_t o = 0; o < bias.size(); ++o) l.bias[o] += bias[o];
  return l;
}

LinearForm mean(const circuit::Circuit& circuit, const LinearForm& value) {
  std::vector<Block> blocks;
  blocks.reserve(static_cast<std::size_t>(value.shape.channels));
  for (int c = 0; c < value.shape.channels; ++c) blocks.push_back({c, 1, c, 1});
  const double weight = 1.0 / static_cast<double>(value.plane());
  return connected(circuit, value, value.shape.channels, blocks, true, [&](int, int, int) { return weight; });
}

LinearForm flattened(const circuit::Circuit& circuit, const LinearForm& value) {
  const auto pixels = static_cast<int>(value.plane());
  std::vector<Block> blocks;
  blocks.reserve(static_cast<std::size_t>(value.shape.channels));
  for (int c = 0; c < value.shape.channels; ++c) blocks.push_back({c * pixels, pixels, c, 1});
  return connected(circuit, value, value.shape.channels * pixels, blocks, false,
                   [&](int o, int, int p) { return o % pixels == p ? 1.0 : 0.0; });
}

void add(LinearForm& l, LinearForm r) {
  for (Term& t : r.terms) l.terms.push_back(std::move(t));
  for (std::size_t k = 0; k < l.bias.size(); ++k) l.bias[k] += r.bias[k];
  l.depth = std::max(l.depth, r.depth);
}

}  // namespace sotto::compiler
