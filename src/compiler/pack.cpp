#include "compiler/pack.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/error.h"
#include "packing/lay_out.h"

namespace sotto::compiler {

namespace {

constexpr int kMostPositions = 4096;  // of a tile: as many runs of at least 16 words at rank 2^16
constexpr int kMostCanvas = 4096;     // rows or columns: phases of square tiles as large as they get

packing::Axes halved(const packing::Axes& tile, bool rows) {
  return rows ? packing::Axes(tile.h / 2, tile.w) : packing::Axes(tile.h, tile.w / 2);
}

}  // namespace

packing::Axes largest_tile(const circuit::Circuit& circuit, bool square) {
  const packing::Axes canvas = packing::canvas_of(circuit);
  if (std::max(canvas.h, canvas.w) > kMostCanvas)
    throw Error(ErrorCode::bad_input,
                "no packing has room for its largest map: with the pixels that strides leave out it may have " +
                    std::to_string(kMostCanvas) + " rows and columns; use less padding before strides");
  const auto side = [](int size) {
    return std::min(static_cast<int>(std::bit_ceil(static_cast<unsigned>(size))), packing::kMostTileSide);
  };
  packing::Axes tile{side(canvas.h), side(canvas.w)};
  if (square) tile = std::max(tile.h, tile.w);
  while (tile.area() > kMostPositions) tile = halved(tile, tile.h >= tile.w);
  return tile;
}

std::optional<packing::Axes> half_of(const packing::Axes& tile, const circuit::Circuit& circuit) {
  const packing::Axes canvas = packing::canvas_of(circuit);
  const bool longer = tile.h >= tile.w;
  for (bool rows : {longer, !longer}) {
    const int side = rows ? tile.h : tile.w, size = rows ? canvas.h : canvas.w;
    if (side > 1 && size <= packing::kMostPhases * (side / 2)) return halved(tile, rows);
  }
  return std::nullopt;
}

plan::Plan pack(const circuit::Circuit& circuit, const Packing& packing) {
  plan::Plan plan;
  plan.tile = packing.tile;
  const std::vector<packing::Layout> layouts = packing::lay_out(circuit, packing.tile, packing.group, packing.fill);
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
