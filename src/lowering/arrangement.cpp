#include "lowering/arrangement.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace sotto::lowering {

namespace {

constexpr int kMostNode = kMostBlocks * kMostBlocks;  // two stages spread it
constexpr int kLeastNode = 64;

unsigned as_unsigned(int v) { return static_cast<unsigned>(v); }

// The map that a matrix reads.
int map_before(const Step& step, int matrix) {
  for (const Op& op : step.ops)
    if (op.kind == Op::Kind::contract && op.inputs[1] == matrix) return op.inputs[0];
  internal_error("a matrix that no layer reads");
}

// How far strides have shrunk each map, in each direction; of vectors 0.
std::vector<packing::Axes> strides_of(const Step& step) {
  std::vector<packing::Axes> all(step.values.size(), {0, 0});
  const auto of = [&](int value) -> packing::Axes& { return all[static_cast<std::size_t>(value)]; };
  of(step.images) = 1;
  for (const Op& op : step.ops) {
    if (step.value(op.output).space != Space::map) continue;
    const packing::Axes in = of(op.inputs.front());
    switch (op.kind) {
      case Op::Kind::convolve:
      case Op::Kind::pool:
        of(op.output) = {in.h * op.window.stride_h, in.w * op.window.stride_w};
        break;
      case Op::Kind::convolve_transposed:
      case Op::Kind::pool_transposed:
        of(op.output) = {in.h / op.window.stride_h, in.w / op.window.stride_w};
        break;
      case Op::Kind::contract_transposed:
        of(op.output) = of(map_before(step, op.inputs[1]));
        break;
      case Op::Kind::mean_transposed:
        of(op.output) = of(op.like);
        break;
      default:
        of(op.output) = in;
    }
  }
  return all;
}

// Pixels are told apart by halves. Names the node whose stride is another.
void require_powers_of_two(const Step& step, const std::vector<packing::Axes>& strides) {
  for (const Op& op : step.ops) {
    const packing::Axes s = strides[static_cast<std::size_t>(op.output)];
    if (s.h == 0 || (std::has_single_bit(as_unsigned(s.h)) && std::has_single_bit(as_unsigned(s.w)))) continue;
    std::string node = step.value(op.output).name;
    const std::string suffix = ".sums";  // of what a convolution makes before it has biases
    if (node.ends_with(suffix)) node.resize(node.size() - suffix.size());
    throw Error(
        ErrorCode::bad_input,
        fmt::format("node '{}': it brings the stride to {} x {} pixels of the image; training needs strides that are "
                    "powers of two",
                    node, s.h, s.w));
  }
}

// In 64 bits, until it is known that the weights fit: wide layers with large tiles take more than 2^31 slots.
void place_parameters(const Step& step, Arrangement& a) {
  std::size_t kernels = 0;
  for (const Parameter& p : step.parameters)
    if (step.value(p.value).space == Space::kernel) kernels += step.value(p.value).size();
  a.node = std::max(kLeastNode, a.positions());
  while (a.node < kMostNode && static_cast<std::size_t>(a.node) < kernels) a.node *= 2;
  std::int64_t next = 0;
  a.parameters.resize(step.parameters.size());
  for (const bool matrices : {false, true}) {
    next = (next + a.node - 1) / a.node * a.node;
    for (std::size_t p = 0; p < step.parameters.size(); ++p) {
      const Value& v = step.value(step.parameters[p].value);
      if ((v.space == Space::matrix) != matrices) continue;
      std::int64_t unit = 1, leaves = static_cast<std::int64_t>(v.size());
      if (matrices) {
        const Layout& map = a.layouts[static_cast<std::size_t>(map_before(step, step.parameters[p].value))];
        unit = a.positions();
        leaves = std::int64_t{v.outs} * v.shape.channels * map.phase_count();
      }
      a.parameters[p] = {static_cast<int>(next), static_cast<int>(unit), static_cast<int>(leaves)};
      next += unit * leaves;
    }
  }
  if (std::max<std::int64_t>(next, a.node) > a.slots() / 2)
    throw Error(ErrorCode::bad_input,
                fmt::format("the layers to be trained have weights for {} slots; with their velocities a ciphertext "
                            "holds {}: name fewer layers",
                            next, a.slots() / 2));
  a.period = 2 * static_cast<int>(std::bit_ceil(as_unsigned(std::max(static_cast<int>(next), a.node))));
}

}  // namespace

Arrangement arrange_maps(const Step& step, int batch, int log_n, int tile) {
  Arrangement a;
  a.log_n = log_n;
  a.batch = batch;
  const std::vector<packing::Axes> strides = strides_of(step);
  packing::Axes most = 1;
  int side = 1;
  for (std::size_t v = 0; v < step.values.size(); ++v) {
    most = {std::max(most.h, strides[v].h), std::max(most.w, strides[v].w)};
    if (step.values[v].space == Space::map)
      side = std::max({side, step.values[v].shape.height, step.values[v].shape.width});
  }
  require_powers_of_two(step, strides);
  // The largest tile whose phases the strides use up: fewer ciphertexts for each image.
  const int phases = std::max({most.h, most.w, 1});
  a.tile = static_cast<int>(std::bit_ceil(as_unsigned((side + phases - 1) / phases)));
  while (a.positions() > 1 && a.images_per_group() < batch && a.tile > 4) a.tile /= 2;
  if (tile > 0) a.tile = tile;
  int all_phases = phases;
  while (all_phases * a.tile < side) all_phases *= 2;
  a.layouts.resize(step.values.size());
  for (std::size_t v = 0; v < step.values.size(); ++v) {
    Layout& l = a.layouts[v];
    static_cast<Shape&>(l) = step.values[v].shape;
    if (step.values[v].space != Space::map) continue;
    const packing::Axes s = {std::max(strides[v].h, 1), std::max(strides[v].w, 1)};
    l.phases = {all_phases / s.h, all_phases / s.w};
    if ((l.height - 1) / l.phases.h >= a.tile || (l.width - 1) / l.phases.w >= a.tile)
      throw Error(ErrorCode::bad_input, "a map grows beyond the canvas of the images: training needs less padding");
  }
  return a;
}

Arrangement arrange(const Step& step, int batch, int log_n, int tile) {
  Arrangement a = arrange_maps(step, batch, log_n, tile);
  place_parameters(step, a);
  return a;
}

std::vector<bool> pixels_of(const Layout& layout, int tile, int phase) {
  std::vector<bool> flags(static_cast<std::size_t>(tile) * tile);
  for (int y = phase / layout.phases.w; y < layout.height; y += layout.phases.h)
    for (int x = phase % layout.phases.w; x < layout.width; x += layout.phases.w)
      flags[static_cast<std::size_t>(packing::place_of(layout, tile, y, x).position)] = true;
  return flags;
}

int slot_of(const Step& step, const Arrangement& a, std::size_t parameter, std::size_t index) {
  const ParameterPlace& place = a.parameters[parameter];
  const int value = step.parameters[parameter].value;
  if (place.unit == 1) return place.first + static_cast<int>(index);
  const Value& v = step.value(value);
  const Layout& layout = a.layouts[static_cast<std::size_t>(map_before(step, value))];
  const auto width = static_cast<std::size_t>(v.shape.width), plane = v.shape.plane();
  const std::size_t pixel = index % plane;
  const packing::Place at =
      packing::place_of(layout, a.tile, static_cast<int>(pixel / width), static_cast<int>(pixel % width));
  return place.first + (static_cast<int>(index / plane) * layout.phase_count() + at.phase) * place.unit + at.position;
}

std::vector<double> pack_state(const Step& step, const Arrangement& a, const State& state) {
  std::vector<double> slots(static_cast<std::size_t>(a.period));
  for (std::size_t p = 0; p < step.parameters.size(); ++p)
    for (std::size_t i = 0; i < state.weights[p].size(); ++i) {
      const auto at = static_cast<std::size_t>(slot_of(step, a, p, i));
      slots[at] = state.weights[p][i];
      slots[at + slots.size() / 2] = state.velocities[p][i];
    }
  return slots;
}

State unpack_state(const Step& step, const Arrangement& a, std::span<const double> slots) {
  State state;
  for (std::size_t p = 0; p < step.parameters.size(); ++p) {
    std::vector<double>& w = state.weights.emplace_back();
    std::vector<double>& u = state.velocities.emplace_back();
    for (std::size_t i = 0; i < step.value(step.parameters[p].value).size(); ++i) {
      const auto at = static_cast<std::size_t>(slot_of(step, a, p, i));
      w.push_back(slots[at]);
      u.push_back(slots[at + static_cast<std::size_t>(a.period) / 2]);
    }
  }
  return state;
}

std::vector<double> pack_images(const Step& step, const Arrangement& a, std::span<const Example* const> batch,
                                int group, int channel, int phase) {
  const Layout& l = a.layouts[static_cast<std::size_t>(step.images)];
  std::vector<double> slots(static_cast<std::size_t>(a.slots()));
  const auto first = static_cast<std::size_t>(group * a.images_per_group());
  for (std::size_t b = first; b < std::min(batch.size(), first + static_cast<std::size_t>(a.images_per_group())); ++b)
    for (int y = phase / l.phases.w; y < l.height; y += l.phases.h)
      for (int x = phase % l.phases.w; x < l.width; x += l.phases.w)
        slots[(b - first) * static_cast<std::size_t>(a.positions()) +
              static_cast<std::size_t>(packing::place_of(l, a.tile, y, x).position)] =
            batch[b]->image[(static_cast<std::size_t>(channel) * l.height + y) * l.width + x];
  return slots;
}

std::vector<double> pack_labels(const Arrangement& a, std::span<const Example* const> batch, int group, int label,
                                double absent) {
  std::vector<double> slots(static_cast<std::size_t>(a.slots()));
  const auto first = static_cast<std::size_t>(group * a.images_per_group()),
             positions = static_cast<std::size_t>(a.positions());
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const std::size_t b = first + s / positions;
    slots[s] = b >= batch.size() ? absent : batch[b]->label == label ? 1 : 0;
  }
  return slots;
}

}  // namespace sotto::lowering
