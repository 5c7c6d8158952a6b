#include "training/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "training/gather.h"
#include "training/masks.h"
#include "training/spread.h"
#include "training/windows.h"

namespace sotto::training {

namespace {

using program::Builder;
using program::Factor;
using program::Multiple;
using program::Pattern;
using program::Products;
using Kind = Op::Kind;
using Flags = std::vector<bool>;

constexpr double kExact = 0x1p-20;       // what scales may differ by, and integers from what they stand for
constexpr double kRoundingRoom = 0x1p22;  // for multiples whose factors are no integers
constexpr double kErrorEnlarged = 0x1p8;  // of a bootstrap: it is below 2^-13 of the range, and 2^-5 then
constexpr double kMostInputScale = 0x1p50;
constexpr double kGatheredRoom = 0x1p4;   // over the least scale
constexpr double kGradientBits = 14;      // precision of the factor that a gradient enters the weights with

// A map or vector on ciphertexts.
struct Held {
  std::vector<int> ids;         // [group][channel][phase]
  std::optional<double> margin = {};  // what slots hold that have no pixel, if it is the same for all
};

class Lowering {
 public:
  Lowering(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
           const std::vector<std::uint64_t>& primes, double range)
      : step_(step),
        a_(arrangement),
        choice_(choice),
        range_(range),
        builder_(primes, choice.least_scale, choice.bootstrapping.input_limbs()),
        gather_(builder_, arrangement),
        held_(step.values.size()),
        uses_(step.values.size()) {}

  LoweredStep run();

 private:
  // A shifted copy of every ciphertext of a map.
  struct Shift {
    int phase = 0, dy = 0, dx = 0;
    auto operator<=>(const Shift&) const = default;
  };
  using Copies = std::map<std::pair<int, Shift>, int>;  // by [group][channel] and shift

  [[nodiscard]] const Layout& layout(int value) const { return a_.layouts[static_cast<std::size_t>(value)]; }
  Held& held(int value) { return held_[static_cast<std::size_t>(value)]; }
  [[nodiscard]] std::size_t parameter_of(int value) const;
  [[nodiscard]] std::optional<std::size_t> gradient_of(int value) const;
  [[nodiscard]] std::vector<Flags> leaf_masks() const;
  [[nodiscard]] std::optional<Flags> common_pixels(int value) const;
  [[nodiscard]] std::optional<int> fused_bias(const Op& op) const;
  [[nodiscard]] const Op* next_bias(const Op& op) const;

  void find_uses();
  void visit(const Op& op);
  Copies copies(int map, const std::vector<TapPair>& taps, const Layout& target);
  void clean(int value);
  int limbs_of(int value) { return builder_.common_limbs(held(value).ids); }
  int leaf(int value, int index, int limbs) { return spread_->leaf(parameter_of(value), index, limbs); }

  void convolve(const Op& op, bool transposed);
  void convolve_weights(const Op& op);
  void contract(const Op& op);
  void contract_transposed(const Op& op);
  void contract_weights(const Op& op);
  void add_bias(const Op& op);
  void sum_pixels(const Op& op);
  void multiply(const Op& op);
  void affine(const Op& op);
  [[nodiscard]] double scale_to_gather(const program::Value& value) const;
  int over_tile(int value, int direction);
  int combine(const std::vector<Multiple>& list);
  int bootstrap(int before);
  void finish(LoweredStep& out, int state);
  [[nodiscard]] Pattern present(int value_per_tile) const;

  const Step& step_;
  const Arrangement& a_;
  const LevelChoice& choice_;
  double range_;
  Builder builder_;
  Gather gather_;
  std::vector<Held> held_;
  std::vector<std::vector<const Op*>> uses_;
  std::optional<Spread> spread_;
  std::set<const Op*> done_;  // by an earlier op
  std::vector<int> label_inputs_;
};

void Lowering::find_uses() {
  for (const Op& op : step_.ops)
    for (int v : op.inputs) uses_[static_cast<std::size_t>(v)].push_back(&op);
}

std::size_t Lowering::parameter_of(int value) const {
  for (std::size_t p = 0; p < step_.parameters.size(); ++p)
    if (step_.parameters[p].value == value) return p;
  throw Error(ErrorCode::bad_input, "training reads a kernel that is no parameter: " + step_.value(value).name);
}

std::optional<std::size_t> Lowering::gradient_of(int value) const {
  for (std::size_t p = 0; p < step_.parameters.size(); ++p)
    if (step_.parameters[p].gradient == value) return p;
  return std::nullopt;
}

// Where a map has pixels, if that is the same in all its phases.
std::optional<Flags> Lowering::common_pixels(int value) const {
  const Layout& l = layout(value);
  const Flags first = pixels_of(l, a_.tile, 0);
  for (int phase = 1; phase < l.phase_count(); ++phase)
    if (pixels_of(l, a_.tile, phase) != first) return std::nullopt;
  return first;
}

// What kernels are multiplied by when they are spread, so that sums come out clean: where all maps that they make have
// pixels, if these agree.
std::vector<Flags> Lowering::leaf_masks() const {
  std::vector<Flags> masks(step_.parameters.size());
  for (std::size_t p = 0; p < masks.size(); ++p) {
    std::optional<Flags> mask;
    bool agree = true;
    for (const Op* op : uses_[static_cast<std::size_t>(step_.parameters[p].value)]) {
      if (op->kind != Kind::convolve && op->kind != Kind::convolve_transposed && op->kind != Kind::add_bias) continue;
      if (step_.value(op->output).space != Space::map) {
        agree = false;
        continue;
      }
      const std::optional<Flags> pixels = common_pixels(op->output);
      agree = agree && pixels && (!mask || *mask == *pixels);
      if (pixels) mask = pixels;
    }
    if (agree && mask && !std::ranges::all_of(*mask, [](bool b) { return b; })) masks[p] = *mask;
  }
  return masks;
}

// The bias that is added to what an op makes, if nothing else reads that.
const Op* Lowering::next_bias(const Op& op) const {
  const auto& uses = uses_[static_cast<std::size_t>(op.output)];
  return uses.size() == 1 && uses.front()->kind == Kind::add_bias && uses.front()->inputs.front() == op.output
             ? uses.front()
             : nullptr;
}

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
          value = builder_.mix({value}, {{{pattern, -1}}},
                               builder_.value(value).scale * mask_scale(mask.size())).front();
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
  const Shape& window = step_.value(kernel).shape;
  const Layout &in = layout(source), &out = layout(op.output);
  const std::vector<TapPair> taps = transposed
                                        ? transposed_taps(op.window, window.height, window.width, out, in)
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
                held(behind).ids[static_cast<std::size_t>((g * out.channels + o) * out.phase_count() + t.target_phase)]);
        }
        if (products.empty()) continue;  // a tap that only ever reads padding
        const int sum = builder_.multiply(products);
        gather_.add(*parameter, (o * in.channels + i) * plane + tap, sum);
      }
}

// A pattern of ones at the first position of every image's tile.
Pattern Lowering::present(int groups_before) const {
  const int left = std::min(a_.batch - groups_before * a_.images_per_group(), a_.images_per_group());
  if (left == a_.images_per_group()) {
    Pattern p(static_cast<std::size_t>(a_.positions()));
    p[0] = 1;
    return p;
  }
  Pattern p(static_cast<std::size_t>(a_.slots()));
  for (int b = 0; b < left; ++b) p[static_cast<std::size_t>(b * a_.positions())] = 1;
  return p;
}

// Direction 1: the sum of a tile, at its first position (others have parts of the next one, too). -1: what the first
// position holds goes to all, if others hold zeros.
int Lowering::over_tile(int value, int direction) {
  std::vector<std::int64_t> near, far;
  for (int k = 1; k < a_.tile; ++k) {
    near.push_back(std::int64_t{direction} * k);
    far.push_back(std::int64_t{direction} * k * a_.tile);
  }
  return builder_.rotate_sum(builder_.rotate_sum(value, near), far);
}

// Sums over channels and tiles; what lies at the first position of a tile then goes to all of them.
void Lowering::contract(const Op& op) {
  const int map = op.inputs[0], matrix = op.inputs[1];
  const Layout& in = layout(map);
  const int each = in.ciphertexts(), classes = step_.value(op.output).shape.channels;
  const int limbs = limbs_of(map);
  const Op* bias = next_bias(op);
  Held result;
  for (int g = 0; g < a_.groups(); ++g) {
    const int pattern = builder_.pattern(present(g));
    for (int k = 0; k < classes; ++k) {
      Products products;
      for (int c = 0; c < each; ++c)
        products.emplace_back(held(map).ids[static_cast<std::size_t>(g * each + c)],
                              leaf(matrix, k * each + c, limbs));
      int sum = builder_.multiply(products);
      sum = over_tile(sum, 1);
      std::vector<int> sources{sum};
      std::vector<Factor> factors{{pattern, -1}};
      if (bias != nullptr) {
        sources.push_back(leaf(bias->inputs[1], k, builder_.value(sum).limbs));
        factors.push_back({pattern, -1});
      }
      sum = builder_.mix(sources, {factors},
                         builder_.value(sum).scale *
                             mask_scale(builder_.period(pattern))).front();
      result.ids.push_back(over_tile(sum, -1));
    }
  }
  held(bias == nullptr ? op.output : bias->output) = std::move(result);
  if (bias != nullptr) done_.insert(bias);
}

void Lowering::contract_transposed(const Op& op) {
  const int vector = op.inputs[0], matrix = op.inputs[1];
  const int each = layout(op.output).ciphertexts(), classes = step_.value(vector).shape.channels;
  const int limbs = limbs_of(vector);
  Held result;
  result.margin = 0;  // as the weights there
  for (int g = 0; g < a_.groups(); ++g)
    for (int c = 0; c < each; ++c) {
      Products products;
      for (int k = 0; k < classes; ++k)
        products.emplace_back(held(vector).ids[static_cast<std::size_t>(g * classes + k)],
                              leaf(matrix, k * each + c, limbs));
      const int sum = builder_.multiply(products);
      // A vector's weights lie at the first position, its numbers at all.
      result.ids.push_back(step_.value(op.output).space == Space::map ? sum : over_tile(sum, -1));
    }
  held(op.output) = std::move(result);
}

void Lowering::contract_weights(const Op& op) {
  const int map = op.inputs[0], vector = op.inputs[1];
  const int each = layout(map).ciphertexts(), classes = step_.value(vector).shape.channels;
  const std::optional<std::size_t> parameter = gradient_of(op.output);
  check(parameter.has_value(), "gradients of matrices are not added up");
  for (int k = 0; k < classes; ++k)
    for (int c = 0; c < each; ++c) {
      Products products;
      for (int g = 0; g < a_.groups(); ++g)
        products.emplace_back(held(map).ids[static_cast<std::size_t>(g * each + c)],
                              held(vector).ids[static_cast<std::size_t>(g * classes + k)]);
      gather_.add(*parameter, k * each + c, builder_.multiply(products));
    }
}

// A bias that no sum before it takes along.
void Lowering::add_bias(const Op& op) {
  const Layout& l = layout(op.output);
  const bool map = step_.value(op.output).space == Space::map;
  const int phases = map ? l.phase_count() : 1, channels = step_.value(op.output).shape.channels;
  const int limbs = limbs_of(op.inputs[0]);
  Held result;
  for (std::size_t k = 0; k < held(op.inputs[0]).ids.size(); ++k) {
    const auto channel = k / static_cast<std::size_t>(phases) % static_cast<std::size_t>(channels);
    result.ids.push_back(combine({{held(op.inputs[0]).ids[k], 1}, {leaf(op.inputs[1], static_cast<int>(channel), limbs), 1}}));
  }
  held(op.output) = std::move(result);
}

// A scale that multiples of a value can have without loss and that leaves little when it is rescaled: sums that are
// gathered together had better be of one scale.
double Lowering::scale_to_gather(const program::Value& value) const {
  double scale = choice_.least_scale * kGatheredRoom;
  for (int l = value.limbs; l > 1 && scale < std::abs(value.scale) * kRoundingRoom; --l) scale *= builder_.prime(l - 1);
  return scale;
}

void Lowering::sum_pixels(const Op& op) {
  const int source = op.inputs.front();
  const bool map = step_.value(source).space == Space::map;
  if (map) clean(source);
  const int phases = map ? layout(source).phase_count() : 1, channels = step_.value(source).shape.channels;
  const std::optional<std::size_t> parameter = gradient_of(op.output);
  check(parameter.has_value(), "gradients of biases are not added up");
  // A vector's number is there once for each position.
  const double times = map ? 1 : a_.positions();
  for (int c = 0; c < channels; ++c) {
    std::vector<Multiple> addends;
    for (int g = 0; g < a_.groups(); ++g)
      for (int phase = 0; phase < phases; ++phase)
        addends.push_back({held(source).ids[static_cast<std::size_t>((g * channels + c) * phases + phase)], 1});
    const int sum = builder_.multiply({}, addends, scale_to_gather(builder_.value(addends.front().value)));
    gather_.add(*parameter, c, builder_.affine(sum, 1 / times, 0));
  }
}

void Lowering::multiply(const Op& op) {
  const int a = op.inputs.front(), b = op.inputs.back();
  Held result;
  if (held(a).margin && held(b).margin) result.margin = *held(a).margin * *held(b).margin;
  const auto zero = [&](int v) { return held(v).margin && std::abs(*held(v).margin) < kExact; };
  if (zero(a) || zero(b)) result.margin = 0;
  for (std::size_t k = 0; k < held(a).ids.size(); ++k)
    result.ids.push_back(builder_.multiply({{held(a).ids[k], held(b).ids[k]}}));
  held(op.output) = std::move(result);
}

// A sum of multiples. Where scales stand for the factors, the integers are 1 and -1 and nothing is lost.
int Lowering::combine(const std::vector<Multiple>& list) {
  const auto scale_of = [&](const Multiple& m) { return builder_.value(m.value).scale; };
  if (list.size() == 1) return builder_.affine(list.front().value, list.front().factor, 0);
  double scale = scale_of(list.front()) / list.front().factor;
  const bool integers = std::ranges::all_of(list, [&](const Multiple& m) {
    const double x = m.factor * scale / scale_of(m);
    return std::abs(x) > 0.5 && std::abs(x - std::nearbyint(x)) < kExact * std::abs(x);
  });
  if (!integers) {
    scale = 0;
    for (const Multiple& m : list) scale = std::max(scale, std::abs(scale_of(m) / m.factor) * kRoundingRoom);
  }
  return builder_.multiply({}, list, scale);
}

void Lowering::affine(const Op& op) {
  std::size_t count = 0;
  for (int v : op.inputs) count = std::max(count, held(v).ids.size());
  // Labels take the scale and level of what they are compared with.
  for (int v : op.inputs) {
    if (v != step_.labels || !held(v).ids.empty()) continue;
    for (std::size_t k = 0; k < op.inputs.size(); ++k) {
      if (op.inputs[k] == v) continue;
      for (int id : held(op.inputs[k]).ids) {
        // A power of two apart, if need be: encoders take so many bits.
        double scale = std::abs(builder_.value(id).scale);
        while (scale > kMostInputScale) scale /= 2;
        held(v).ids.push_back(builder_.input(builder_.value(id).limbs, scale));
      }
      break;
    }
    label_inputs_ = held(v).ids;
  }
  Held result;
  double margin = op.shift;
  bool known = true;
  for (std::size_t j = 0; j < op.inputs.size(); ++j) {
    const std::optional<double>& m = held(op.inputs[j]).margin;
    known = known && m;
    margin += op.factors[j] * m.value_or(0);
  }
  if (known) result.margin = margin;
  for (std::size_t k = 0; k < count; ++k) {
    std::vector<Multiple> list;
    for (std::size_t j = 0; j < op.inputs.size(); ++j) list.push_back({held(op.inputs[j]).ids[k], op.factors[j]});
    const int sum = combine(list);
    result.ids.push_back(op.shift == 0 ? sum : builder_.affine(sum, 1, op.shift));
  }
  held(op.output) = std::move(result);
}

void Lowering::visit(const Op& op) {
  if (done_.contains(&op)) return;
  switch (op.kind) {
    case Kind::convolve:
    case Kind::convolve_transposed:
      return convolve(op, op.kind == Kind::convolve_transposed);
    case Kind::convolve_weights:
      return convolve_weights(op);
    case Kind::contract:
      return contract(op);
    case Kind::contract_transposed:
      return contract_transposed(op);
    case Kind::contract_weights:
      return contract_weights(op);
    case Kind::add_bias:
      return add_bias(op);
    case Kind::sum_pixels:
      return sum_pixels(op);
    case Kind::product:
    case Kind::square:
      return multiply(op);
    case Kind::affine:
      return affine(op);
  }
}

// The new state: weights and velocities from the old ones, which half a period's rotation exchanges, and gradients.
void Lowering::finish(LoweredStep& out, int state) {
  const auto half = static_cast<std::size_t>(a_.period) / 2;
  std::array<int, kUpdateCoefficients> coefficient{};
  for (int& c : coefficient) c = builder_.coefficient();
  const auto& [ww, wu, wg, uw, uu, ug] = coefficient;
  // Where there are weights, of a node (from, to) or of all; once in each half of the period.
  const auto pattern = [&](std::size_t from, std::size_t to, bool upper) {
    Pattern p(half * 2);
    for (std::size_t k = 0; k < step_.parameters.size(); ++k)
      for (std::size_t i = 0; i < step_.value(step_.parameters[k].value).size(); ++i) {
        const auto slot = static_cast<std::size_t>(slot_of(step_, a_, k, i));
        if (slot >= from && slot < to) p[slot + (upper ? half : 0)] = 1;
      }
    return builder_.pattern(std::move(p));
  };
  const std::map<int, int> nodes = gather_.nodes();
  std::vector<int> gathered;
  for (const auto& [node, value] : nodes) gathered.push_back(value);
  const int limbs = builder_.common_limbs(gathered);
  const std::int64_t exchange[] = {static_cast<std::int64_t>(half)};
  const int exchanged = builder_.rotate(state, exchange, limbs).front();
  std::vector<int> sources{state, state, exchanged, exchanged};
  std::vector<Factor> factors{{pattern(0, half, false), ww},
                              {pattern(0, half, true), uu},
                              {pattern(0, half, false), wu},
                              {pattern(0, half, true), uw}};
  double largest = 0;
  for (const auto& [node, value] : nodes) {
    const auto from = static_cast<std::size_t>(node * a_.node), to = from + static_cast<std::size_t>(a_.node);
    sources.insert(sources.end(), {value, value});
    factors.push_back({pattern(from, to, false), wg});
    factors.push_back({pattern(from, to, true), ug});
    largest = std::max(largest, std::abs(builder_.value(value).scale));
  }
  // Divided by as few primes as leave the gradients their precision.
  double scale = out.state_scale;
  int rescales = 0;
  while (rescales < 1 || scale < largest * a_.batch * std::exp2(kGradientBits))
    scale *= builder_.prime(choice_.bootstrapping.input_limbs() + rescales++);
  if (choice_.bootstrapping.input_limbs() + rescales > limbs)
    throw Error(ErrorCode::no_resources, "a training step needs more levels than bootstrapping leaves");
  builder_.output(builder_.mix(sources, {factors}, scale, choice_.bootstrapping.input_limbs() + rescales,
                                       rescales).front());
}

// Twice: the error of the first bootstrap, enlarged, comes back with an error of its own that is as much smaller
// (ePrint 2022/1167). Weights and velocities are bootstrapped at every step, so that errors would add up.
int Lowering::bootstrap(int before) {
  const bootstrap::BootstrapSpec& spec = choice_.bootstrapping;
  const int once = builder_.bootstrap(before, spec, choice_.state_scale);
  const Multiple difference[] = {{before, 1}, {once, -1}};
  const int error = builder_.multiply({}, difference, builder_.value(before).scale * kErrorEnlarged);
  const Multiple sum[] = {{once, 1}, {builder_.bootstrap(error, spec, choice_.state_scale), 1}};
  return builder_.multiply({}, sum, choice_.state_scale);
}

LoweredStep Lowering::run() {
  find_uses();
  LoweredStep out;
  out.state_scale = choice_.bootstrapping.input_peak / range_;
  const int before = builder_.input(choice_.bootstrapping.input_limbs(), out.state_scale);
  const int state = bootstrap(before);
  spread_.emplace(builder_, a_, state, leaf_masks());
  const int images = a_.ciphertexts(step_.images);
  for (int k = 0; k < images; ++k)
    held(step_.images).ids.push_back(builder_.input(choice_.bootstrapping.output_limbs(), choice_.image_scale));
  held(step_.images).margin = 0;
  for (const Op& op : step_.ops) visit(op);
  finish(out, state);
  const int classes = step_.value(step_.error).shape.channels;
  for (int g = 0; g < a_.groups(); ++g) {
    Products squares;
    for (int k = 0; k < classes; ++k) {
      const int e = held(step_.error).ids[static_cast<std::size_t>(g * classes + k)];
      squares.emplace_back(e, e);
    }
    builder_.output(builder_.multiply(squares));
  }
  out.images = static_cast<std::size_t>(images);
  out.labels = label_inputs_.size();
  out.losses = static_cast<std::size_t>(a_.groups());
  out.program = builder_.take();
  program::trim_inputs(out.program);
  return out;
}

}  // namespace

LoweredStep lower(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
                  const std::vector<std::uint64_t>& primes, double range) {
  return Lowering(step, arrangement, choice, primes, range).run();
}

}  // namespace sotto::training
