#include <cmath>

#include "base/error.h"
#include "lowering/lowering.h"
#include "lowering/masks.h"

namespace sotto::lowering {

using program::Multiple;

void Lowering::pool(const Op& op, bool transposed) {
  const int source = op.inputs.front();
  const Layout &in = layout(source), &out = layout(op.output);
  const int height = op.window.kernel_h, width = op.window.kernel_w;
  const std::vector<TapPair> taps =
      transposed ? transposed_taps(op.window, height, width, out, in) : forward_taps(op.window, height, width, in, out);
  const Copies copies = this->copies(source, taps, out);
  const double each = 1.0 / (height * width);
  Held result;
  for (int gc = 0; gc < a_.groups() * out.channels; ++gc)
    for (int phase = 0; phase < out.phase_count(); ++phase) {
      std::vector<Multiple> list;
      for (const TapPair& t : taps)
        if (t.target_phase == phase) list.push_back({copies.at({gc, {t.source_phase, t.dy, t.dx}}), each});
      check(!list.empty(), "a pool leaves pixels out");
      result.ids.push_back(combine(list));
    }
  held(op.output) = std::move(result);
}

// Of all phases and the whole tile.
void Lowering::mean(const Op& op) {
  const int source = op.inputs.front();
  clean(source);
  const Layout& in = layout(source);
  const double each = 1.0 / static_cast<double>(in.plane());
  Held result;
  for (int g = 0; g < a_.groups(); ++g) {
    const int pattern = builder_.pattern(present(g));
    for (int c = 0; c < in.channels; ++c) {
      std::vector<Multiple> list;
      for (int phase = 0; phase < in.phase_count(); ++phase)
        list.push_back(
            {held(source).ids[static_cast<std::size_t>((g * in.channels + c) * in.phase_count() + phase)], each});
      const int sum = over_tile(combine(list), 1);
      const double scale = builder_.value(sum).scale * mask_scale(present_period());
      result.ids.push_back(over_tile(builder_.mix({sum}, {{{pattern, -1}}}, scale).front(), -1));
    }
  }
  held(op.output) = std::move(result);
}

void Lowering::mean_transposed(const Op& op) {
  const Layout& out = layout(op.output);
  const double each = 1.0 / static_cast<double>(out.plane());
  Held result;
  for (int id : held(op.inputs.front()).ids) {
    const int part = builder_.affine(id, each, 0);
    for (int phase = 0; phase < out.phase_count(); ++phase) result.ids.push_back(part);
  }
  held(op.output) = std::move(result);
}

}  // namespace sotto::lowering
