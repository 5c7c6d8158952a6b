#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "lowering/lowering.h"
#include "lowering/masks.h"

// Layers that are not trained: their weights are plaintexts, as in inference, and one mix makes all channels.
namespace sotto::lowering {

using program::Factor;
using program::Pattern;

const std::vector<double>* Lowering::constant(int value) const {
  for (const training::Constant& c : step_.constants)
    if (c.value == value) return &c.numbers;
  return nullptr;
}

// Of plaintexts with a period: rounding errs by 2^-13 of the largest weight.
double Lowering::weight_scale(std::span<const double> weights, std::size_t period) {
  double largest = 0;
  for (double w : weights) largest = std::max(largest, std::abs(w));
  return mask_scale(period) * (largest > 0 && largest < 1 ? 1 / largest : 1);
}

// A factor where flags are set.
int Lowering::pattern_of(const Flags& flags, double factor) {
  if (std::ranges::all_of(flags, [](bool b) { return b; })) return builder_.pattern({factor});
  Pattern p(flags.size());
  for (std::size_t k = 0; k < flags.size(); ++k) p[k] = flags[k] ? factor : 0;
  return builder_.pattern(std::move(p));
}

void Lowering::convolve_with_constants(const Op& op, bool transposed, const std::vector<double>& weights) {
  const int source = op.inputs[0];
  const Shape& window = step_.value(op.inputs[1]).shape;
  const Layout &in = layout(source), &out = layout(op.output);
  const std::vector<TapPair> taps = transposed ? transposed_taps(op.window, window.height, window.width, out, in)
                                               : forward_taps(op.window, window.height, window.width, in, out);
  const Copies copies = this->copies(source, taps, out);
  const Op* bias = transposed ? nullptr : next_bias(op);
  const std::vector<double>* biases = bias == nullptr ? nullptr : constant(bias->inputs[1]);
  check((bias == nullptr) == (biases == nullptr), "a layer is trained in part");
  const int plane = window.height * window.width, ins = window.channels, phases = out.phase_count();
  Held result;
  result.ids.resize(static_cast<std::size_t>(a_.groups() * out.channels * phases));
  for (int g = 0; g < a_.groups(); ++g)
    for (int phase = 0; phase < phases; ++phase) {
      const Flags pixels = pixels_of(out, a_.tile, phase);
      std::vector<int> sources;
      std::vector<std::vector<Factor>> factors(static_cast<std::size_t>(out.channels));
      std::vector<int> constants;
      for (const TapPair& t : taps) {
        if (t.target_phase != phase) continue;
        for (int i = 0; i < in.channels; ++i) {
          sources.push_back(copies.at({g * in.channels + i, {t.source_phase, t.dy, t.dx}}));
          for (int o = 0; o < out.channels; ++o) {
            const int at = (transposed ? i * ins + o : o * ins + i) * plane + t.tap;
            const double w = weights[static_cast<std::size_t>(at)];
            factors[static_cast<std::size_t>(o)].push_back({w == 0 ? -1 : pattern_of(pixels, w), -1});
          }
        }
      }
      if (sources.empty()) throw Error(ErrorCode::bad_input, "a convolution has pixels that read nothing");
      if (biases != nullptr)
        for (double b : *biases) constants.push_back(pattern_of(pixels, b));
      const double scale = largest_scale(sources) * weight_scale(weights, pixels.size());
      const std::vector<int> made = builder_.mix(sources, factors, scale, 0, -1, std::move(constants));
      for (int o = 0; o < out.channels; ++o)
        result.ids[static_cast<std::size_t>((g * out.channels + o) * phases + phase)] =
            made[static_cast<std::size_t>(o)];
    }
  result.margin = 0;
  held(bias == nullptr ? op.output : bias->output) = std::move(result);
  if (bias != nullptr) done_.insert(bias);
}

// [class][channel and phase] of a matrix that is not trained, or [channel and phase][class].
std::vector<std::vector<Factor>> Lowering::matrix_factors(int matrix, const Layout& map, bool transposed) {
  const std::vector<double>& weights = *constant(matrix);
  const Value& v = step_.value(matrix);
  const auto each = static_cast<std::size_t>(map.ciphertexts()), classes = static_cast<std::size_t>(v.outs);
  std::vector<std::vector<Pattern>> patterns(
      classes, std::vector<Pattern>(each, Pattern(static_cast<std::size_t>(a_.positions()))));
  std::size_t next = 0;
  for (std::size_t k = 0; k < classes; ++k)
    for (int c = 0; c < v.shape.channels; ++c)
      for (int y = 0; y < v.shape.height; ++y)
        for (int x = 0; x < v.shape.width; ++x, ++next) {
          const packing::Place at = packing::place_of(map, a_.tile, y, x);
          patterns[k][static_cast<std::size_t>(c * map.phase_count() + at.phase)]
                  [static_cast<std::size_t>(at.position)] = weights[next];
        }
  std::vector<std::vector<Factor>> factors(transposed ? each : classes);
  for (std::size_t k = 0; k < classes; ++k)
    for (std::size_t c = 0; c < each; ++c)
      factors[transposed ? c : k].push_back({builder_.pattern(std::move(patterns[k][c])), -1});
  return factors;
}

}  // namespace sotto::lowering
