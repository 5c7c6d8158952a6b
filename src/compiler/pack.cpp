#include "compiler/pack.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/error.h"
#include "packing/lay_out.h"

namespace sotto::compiler {

namespace {

constexpr int kMaxTile = 64;  // tile^2 runs of at least 16 words at rank 2^16

int longer_side(const packing::Axes& canvas) { return std::max(canvas.h, canvas.w); }

}  // namespace

int largest_tile(const circuit::Circuit& circuit) {
  const int side = longer_side(packing::canvas_of(circuit));
  if (side > packing::kMostPhases * kMaxTile)
    throw Error(ErrorCode::bad_input,
                "no packing has room for its largest map: with the pixels that strides leave out it may have " +
                    std::to_string(packing::kMostPhases * kMaxTile) +
                    " rows and columns; use less padding before strides");
  return std::min(static_cast<int>(std::bit_ceil(static_cast<unsigned>(side))), kMaxTile);
}

bool fits(const circuit::Circuit& circuit, int tile) {
  return longer_side(packing::canvas_of(circuit)) <= packing::kMostPhases * tile;
}

plan::Plan pack(const circuit::Circuit& circuit, const Packing& packing) {
  plan::Plan plan;
  plan.tile = packing.tile;
  const std::vector<packing::Layout> layouts = packing::lay_out(circuit, packing.tile, packing.group);
  for (std::size_t v = 0; v < layouts.size(); ++v) plan.tensors.push_back({circuit.values[v].name, layouts[v], 0, 1});
  for (const circuit::Op& op : circuit.ops) {
    plan::Step& step = plan.steps.emplace_back();
    static_cast<circuit::Op&>(step) = op;
    if (op.kind == circuit::Op::Kind::activate) step.late = 0;
  }
  plan.steps.back().keep = true;
  plan.steps.back().late = 0;
  for (const circuit::Op& op : circuit.ops) {
    if (op.kind != circuit::Op::Kind::multiply) continue;
    for (const circuit::Term& t : op.terms) {
      plan::Step& factor = *std::ranges::find(plan.steps, t.source, &plan::Step::output);
      factor.keep = true;
      factor.late = 0;
      factor.spread = circuit.value(t.source).shape.plane() < circuit.value(op.output).shape.plane();
    }
  }
  return plan;
}

}  // namespace sotto::compiler
