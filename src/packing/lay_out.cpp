#include "packing/lay_out.h"

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

std::vector<Layout> lay_out(const circuit::Circuit& circuit, const Axes& tile, int group) {
  const Axes canvas = canvas_of(circuit);
  Axes phases = 1;
  while (phases.h * tile.h < canvas.h) phases.h *= 2;
  while (phases.w * tile.w < canvas.w) phases.w *= 2;
  std::vector<Layout> layouts(circuit.values.size());
  layouts[0] = {circuit.values[0].shape, phases, 1, group};
  for (const Op& op : circuit.ops) {
    const Term& t = op.terms.front();
    const Layout& in = layouts[static_cast<std::size_t>(t.source)];
    layouts[static_cast<std::size_t>(op.output)] = after(t, in, circuit.value(op.output).shape, tile);
    // Factors meet slot by slot; the second one is made for this product.
    if (op.kind == Op::Kind::multiply && circuit.value(op.terms.back().source).shape == in)
      layouts[static_cast<std::size_t>(op.terms.back().source)] = in;
  }
  return layouts;
}

}  // namespace sotto::packing
