#include "packing/lay_out.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>

namespace sotto::packing {

namespace {

using circuit::Op;
using circuit::Shape;
using circuit::Term;

constexpr int kFarthest = 1 << 20;  // pixels of a canvas

// Phases and gap of one direction without a common factor; a single pixel lies in the first phase of any layout.
// A map that grew beyond its tile gets more phases.
void fit(int size, int tile, int& phases, int& gap) {
  const int common = std::gcd(phases, gap);
  phases = size == 1 ? 1 : phases / common;
  gap = size == 1 ? 1 : gap / common;
  while ((size - 1) * gap >= phases * tile) phases *= 2;
}

// Channels beside each other in the gap of one direction.
int room(int size, int side, int phases, int gap) {
  if (phases > 1) return 1;
  int fill = static_cast<int>(std::bit_floor(static_cast<unsigned>(gap)));
  while ((size - 1) * gap + fill > side) fill /= 2;
  return fill;
}

// As many channels in the gaps as there is room for, and no more than there are.
Axes fill_of(const Layout& l, const Axes& tile) {
  Axes fill{room(l.height, tile.h, l.phases.h, l.gap.h), room(l.width, tile.w, l.phases.w, l.gap.w)};
  while (fill.area() >= 2 * l.channels) (fill.h > fill.w ? fill.h : fill.w) /= 2;
  return fill;
}

// Whether a value of one pixel per channel is multiplied with one of more.
bool has_spread_factors(const circuit::Circuit& circuit) {
  return std::ranges::any_of(circuit.ops, [&](const Op& op) {
    return op.kind == Op::Kind::multiply && std::ranges::any_of(op.terms, [&](const Term& t) {
             return circuit.value(t.source).shape.plane() != circuit.value(op.output).shape.plane();
           });
  });
}

// The layout of what a term makes of a map.
Layout after(const Term& term, const Layout& in, const Shape& shape, const Axes& tile) {
  if (term.kind == Term::Kind::full) return {shape, 1, 1, in.group};
  Layout l{shape, in.phases, {in.gap.h * term.stride_h, in.gap.w * term.stride_w}, in.group};
  fit(l.height, tile.h, l.phases.h, l.gap.h);
  fit(l.width, tile.w, l.phases.w, l.gap.w);
  return l;
}

}  // namespace

Axes canvas_of(const circuit::Circuit& circuit) {
  Axes most = 1;
  std::vector<Axes> apart(circuit.values.size(), 1);  // distance of pixels
  const auto far = [](std::int64_t distance) { return static_cast<int>(std::min<std::int64_t>(distance, kFarthest)); };
  const auto take_in = [&](std::size_t v) {
    const Shape& s = circuit.values[v].shape;
    if (s.height == 1) apart[v].h = 1;
    if (s.width == 1) apart[v].w = 1;
    most.h = std::max(most.h, far(std::int64_t{s.height - 1} * apart[v].h + 1));
    most.w = std::max(most.w, far(std::int64_t{s.width - 1} * apart[v].w + 1));
  };
  take_in(0);
  for (const Op& op : circuit.ops) {
    const Term& t = op.terms.front();
    const Axes in = apart[static_cast<std::size_t>(t.source)];
    const auto out = static_cast<std::size_t>(op.output);
    if (t.kind != Term::Kind::full)
      apart[out] = {far(std::int64_t{in.h} * t.stride_h), far(std::int64_t{in.w} * t.stride_w)};
    take_in(out);
  }
  return most;
}

std::vector<Layout> lay_out(const circuit::Circuit& circuit, const Axes& tile, int group, bool fill) {
  const Axes canvas = canvas_of(circuit);
  Axes phases = 1;
  while (phases.h * tile.h < canvas.h) phases.h *= 2;
  while (phases.w * tile.w < canvas.w) phases.w *= 2;
  std::vector<Layout> layouts(circuit.values.size());
  layouts[0] = {circuit.values[0].shape, phases, 1, group};
  const bool filled = fill && group == 1 && !has_spread_factors(circuit);
  for (const Op& op : circuit.ops) {
    const Term& t = op.terms.front();
    const Layout& in = layouts[static_cast<std::size_t>(t.source)];
    Layout& out = layouts[static_cast<std::size_t>(op.output)];
    out = after(t, in, circuit.value(op.output).shape, tile);
    if (filled) out.fill = fill_of(out, tile);
    // Factors meet slot by slot; the second one is made for this product.
    if (op.kind == Op::Kind::multiply && circuit.value(op.terms.back().source).shape == in)
      layouts[static_cast<std::size_t>(op.terms.back().source)] = in;
  }
  return layouts;
}

}  // namespace sotto::packing
