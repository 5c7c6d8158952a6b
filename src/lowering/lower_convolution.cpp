#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "lowering/lowering.h"
#include "lowering/masks.h"

namespace sotto::lowering {

using program::Multiple;
using program::Pattern;
using program::Products;

// A map's ciphertexts, rotated as taps ask. Where a rotation brings what is no pixel's neighbour to a pixel of the
// target, it is cleared; then all copies are multiplied, so that they stay at one level.
Lowering::Copies Lowering::copies(int map, const std::vector<TapPair>& taps, const Layout& target) {
  const Layout& in = layout(map);
  const int channels = in.channels, phases = in.phase_count(), tile = a_.tile;
  const bool clean_margin = held(map).margin && std::abs(*held(map).margin) < kExact;
  std::map<Shift, Flags> masks;  // of each shift: where it may be read
  bool needed = false;
  for (const TapPair& t : taps) {
    const Flags to = pixels_of(target, tile, t.target_phase), from = pixels_of(in, tile, t.source_phase);
    Flags& mask = masks.try_emplace({t.source_phase, t.dy, t.dx}, Flags(to.size(), true)).first->second;
    for (int y = 0; y < tile; ++y)
      for (int x = 0; x < tile; ++x) {
        if (!to[static_cast<std::size_t>(y * tile + x)]) continue;
        const int sy = y + t.dy, sx = x + t.dx, positions = tile * tile;
        const auto read = static_cast<std::size_t>(((sy * tile + sx) % positions + positions) % positions);
        const bool meant =
            sy >= 0 && sy < tile && sx >= 0 && sx < tile && from[static_cast<std::size_t>(sy * tile + sx)];
        if (meant || (clean_margin && !from[read])) continue;
        mask[static_cast<std::size_t>(y * tile + x)] = false;
        needed = true;
      }
  }
  Copies out;
  for (int gc = 0; gc < a_.groups() * channels; ++gc)
    for (int phase = 0; phase < phases; ++phase) {
      std::vector<Shift> shifts;
      std::vector<std::int64_t> rotations;
      for (const auto& [shift, mask] : masks) {
        if (shift.phase != phase) continue;
        shifts.push_back(shift);
        rotations.push_back(shift.dy * tile + shift.dx);
      }
      const int source = held(map).ids[static_cast<std::size_t>(gc * phases + phase)];
      const std::vector<int> rotated = builder_.rotate(source, rotations);
      for (std::size_t k = 0; k < shifts.size(); ++k) {
        int value = rotated[k];
        if (needed) {
          const Flags& mask = masks.at(shifts[k]);
          const int pattern = builder_.pattern(Pattern(mask.begin(), mask.end()));
          value =
              builder_.mix({value}, {{{pattern, -1}}}, builder_.value(value).scale * mask_scale(mask.size())).front();
        }
        out[{gc, shifts[k]}] = value;
      }
    }
  return out;
}

// Clears slots that have no pixel.
void Lowering::clean(int value) {
  Held& h = held(value);
  if (h.margin && std::abs(*h.margin) < kExact) return;
  const Layout& l = layout(value);
  bool whole = true;
  for (std::size_t k = 0; k < h.ids.size(); ++k) {
    const Flags pixels = pixels_of(l, a_.tile, static_cast<int>(k) % l.phase_count());
    whole = whole && std::ranges::all_of(pixels, [](bool b) { return b; });
  }
  h.margin = 0;
  if (whole) return;
  for (std::size_t k = 0; k < h.ids.size(); ++k) {
    const Flags pixels = pixels_of(l, a_.tile, static_cast<int>(k) % l.phase_count());
    const int pattern = builder_.pattern(Pattern(pixels.begin(), pixels.end()));
    h.ids[k] =
        builder_.mix({h.ids[k]}, {{{pattern, -1}}}, builder_.value(h.ids[k]).scale * mask_scale(pixels.size())).front();
  }
}

void Lowering::convolve(const Op& op, bool transposed) {
  const int source = op.inputs[0], kernel = op.inputs[1];
  if (const std::vector<double>* weights = constant(kernel)) return convolve_with_constants(op, transposed, *weights);
  const Shape& window = step_.value(kernel).shape;
  const Layout &in = layout(source), &out = layout(op.output);
  const std::vector<TapPair> taps = transposed ? transposed_taps(op.window, window.height, window.width, out, in)
                                               : forward_taps(op.window, window.height, window.width, in, out);
  const Copies copies = this->copies(source, taps, out);
  std::vector<int> copied;
  for (const auto& [at, id] : copies) copied.push_back(id);
  const int limbs = builder_.common_limbs(copied);
  const Op* bias = transposed ? nullptr : next_bias(op);
  const int plane = window.height * window.width, ins = window.channels, phases = out.phase_count();
  Held result;
  result.ids.resize(static_cast<std::size_t>(a_.groups() * out.channels * phases));
  for (int o = 0; o < out.channels; ++o)
    for (int g = 0; g < a_.groups(); ++g)
      for (int phase = 0; phase < phases; ++phase) {
        Products products;
        for (const TapPair& t : taps) {
          if (t.target_phase != phase) continue;
          for (int i = 0; i < in.channels; ++i) {
            const int weight = (transposed ? i * ins + o : o * ins + i) * plane + t.tap;
            products.emplace_back(copies.at({g * in.channels + i, {t.source_phase, t.dy, t.dx}}),
                                  leaf(kernel, weight, limbs));
          }
        }
        std::vector<Multiple> addends;
        if (bias != nullptr) addends.push_back({leaf(bias->inputs[1], o, limbs), 1});
        if (products.empty()) throw Error(ErrorCode::bad_input, "a convolution has pixels that read nothing");
        result.ids[static_cast<std::size_t>((g * out.channels + o) * phases + phase)] =
            builder_.multiply(products, addends);
      }
  const std::vector<Flags> masks = leaf_masks();
  const auto clean_leaf = [&](int value) { return !masks[parameter_of(value)].empty(); };
  if (clean_leaf(kernel) && (bias == nullptr || clean_leaf(bias->inputs[1]))) result.margin = 0;
  held(bias == nullptr ? op.output : bias->output) = std::move(result);
  if (bias != nullptr) done_.insert(bias);
}

void Lowering::convolve_weights(const Op& op) {
  const int before = op.inputs[0], behind = op.inputs[1];
  clean(behind);
  const Shape& window = step_.value(op.output).shape;
  const Layout &in = layout(before), &out = layout(behind);
  const std::vector<TapPair> taps = forward_taps(op.window, window.height, window.width, in, out);
  const Copies copies = this->copies(before, taps, out);
  const std::optional<std::size_t> parameter = gradient_of(op.output);
  check(parameter.has_value(), "gradients of kernels are not added up");
  const int plane = window.height * window.width;
  for (int o = 0; o < out.channels; ++o)
    for (int i = 0; i < in.channels; ++i)
      for (int tap = 0; tap < plane; ++tap) {
        Products products;
        for (const TapPair& t : taps) {
          if (t.tap != tap) continue;
          for (int g = 0; g < a_.groups(); ++g)
            products.emplace_back(
                copies.at({g * in.channels + i, {t.source_phase, t.dy, t.dx}}),
                held(behind)
                    .ids[static_cast<std::size_t>((g * out.channels + o) * out.phase_count() + t.target_phase)]);
        }
        if (products.empty()) continue;  // a tap that only ever reads padding
        const int sum = builder_.multiply(products);
        gather_.add(*parameter, (o * in.channels + i) * plane + tap, sum);
      }
}

}  // namespace sotto::lowering
