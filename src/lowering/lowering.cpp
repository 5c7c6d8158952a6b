#include "lowering/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "lowering/masks.h"
#include "lowering/step_bootstrap.h"
#include "training/optimiser.h"

namespace sotto::lowering {

namespace {

using program::Builder;
using program::Factor;
using program::Multiple;
using program::Pattern;
using program::Products;
using Kind = Op::Kind;

constexpr double kRoundingRoom = 0x1p22;  // for multiples whose factors are no integers
constexpr double kMostInputScale = 0x1p50;
constexpr double kGatheredRoom = 0x1p4;  // over the least scale

}  // namespace

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

// A bias that no sum before it takes along.
void Lowering::add_bias(const Op& op) {
  const Layout& l = layout(op.output);
  const bool map = step_.value(op.output).space == Space::map;
  const int phases = map ? l.phase_count() : 1, channels = step_.value(op.output).shape.channels;
  const int limbs = limbs_of(op.inputs[0]);
  const std::vector<double>* biases = constant(op.inputs[1]);
  Held result;
  std::vector<std::vector<Multiple>> lists;
  for (std::size_t k = 0; k < held(op.inputs[0]).ids.size(); ++k) {
    const auto channel = k / static_cast<std::size_t>(phases) % static_cast<std::size_t>(channels);
    const int id = held(op.inputs[0]).ids[k];
    if (biases != nullptr)
      result.ids.push_back(builder_.affine(id, 1, (*biases)[channel]));
    else
      lists.push_back({{id, 1}, {leaf(op.inputs[1], static_cast<int>(channel), limbs), 1}});
  }
  if (biases == nullptr) result.ids = combine(lists);
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

// The scale of a sum of multiples in which scales stand for the factors: the integers are 1 and -1, say, and nothing is
// lost. 0 if there is none.
double Lowering::scale_of_integers(const std::vector<Multiple>& list) const {
  const double scale = builder_.value(list.front().value).scale / list.front().factor;
  const bool integers = std::ranges::all_of(list, [&](const Multiple& m) {
    const double x = m.factor * scale / builder_.value(m.value).scale;
    return std::abs(x) > 0.5 && std::abs(x - std::nearbyint(x)) < kExact * std::abs(x);
  });
  return integers ? scale : 0;
}

int Lowering::combine(const std::vector<Multiple>& list) {
  return combine(std::vector<std::vector<Multiple>>{list}).front();
}

// Sums of multiples of the same values of a map's ciphertexts: all of one scale.
std::vector<int> Lowering::combine(const std::vector<std::vector<Multiple>>& lists) {
  const double first = lists.empty() ? 0 : scale_of_integers(lists.front());
  const bool integers = std::ranges::all_of(lists, [&](const auto& list) {
    const double scale = scale_of_integers(list);
    return scale != 0 && std::abs(scale / first - 1) < kExact;
  });
  double rounded = 0;
  for (const auto& list : lists)
    for (const Multiple& m : list)
      rounded = std::max(rounded, std::abs(builder_.value(m.value).scale / m.factor) * kRoundingRoom);
  std::vector<int> sums;
  for (const auto& list : lists)
    sums.push_back(list.size() == 1 ? builder_.affine(list.front().value, list.front().factor, 0)
                                    : builder_.multiply({}, list, integers ? scale_of_integers(list) : rounded));
  return sums;
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
  std::vector<std::vector<Multiple>> lists(count);
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t j = 0; j < op.inputs.size(); ++j) lists[k].push_back({held(op.inputs[j]).ids[k], op.factors[j]});
  for (const int sum : combine(lists)) result.ids.push_back(op.shift == 0 ? sum : builder_.affine(sum, 1, op.shift));
  held(op.output) = std::move(result);
}

void Lowering::channels(const Op& op) {
  const int source = op.inputs.front();
  const auto phases = static_cast<std::size_t>(layout(source).phase_count()),
             all = static_cast<std::size_t>(layout(source).channels) * phases,
             some = static_cast<std::size_t>(layout(op.output).channels) * phases;
  Held result{{}, held(source).margin};
  for (std::size_t g = 0; g < static_cast<std::size_t>(a_.groups()); ++g) {
    const auto first =
        held(source).ids.begin() + static_cast<std::ptrdiff_t>(g * all + static_cast<std::size_t>(op.first) * phases);
    result.ids.insert(result.ids.end(), first, first + static_cast<std::ptrdiff_t>(some));
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
    case Kind::pool:
    case Kind::pool_transposed:
      return pool(op, op.kind == Kind::pool_transposed);
    case Kind::mean:
      return mean(op);
    case Kind::mean_transposed:
      return mean_transposed(op);
    case Kind::add_bias:
      return add_bias(op);
    case Kind::sum_pixels:
      return sum_pixels(op);
    case Kind::product:
    case Kind::square:
      return multiply(op);
    case Kind::channels:
      return channels(op);
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
  // Divided by as few primes as leave the gradients their precision at the least rate, and at the largest one that of
  // the masks.
  const double rate = training::least_rate(spec_);
  double scale = out.state_scale;
  int rescales = 0;
  const double least = largest * std::max(a_.batch / rate * mask_scale(static_cast<std::size_t>(a_.period)),
                                          program::kLeastPlaintextScale);
  while (rescales < 1 || scale < least) {
    if (choice_.bootstrapping.input_limbs() + rescales >= limbs) return builder_.does_not_fit();
    scale *= builder_.prime(choice_.bootstrapping.input_limbs() + rescales++);
  }
  builder_.output(
      builder_.mix(sources, {factors}, scale, choice_.bootstrapping.input_limbs() + rescales, rescales).front());
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

std::optional<LoweredStep> Lowering::run() {
  find_uses();
  LoweredStep out;
  out.state_scale = scale_between_steps(choice_.bootstrapping, spec_.range);
  const int before = builder_.input(choice_.bootstrapping.input_limbs(), out.state_scale);
  const int state = bootstrap(before);
  spread_.emplace(builder_, a_, state, leaf_masks());
  const int images = a_.ciphertexts(step_.images);
  for (int k = 0; k < images; ++k)
    held(step_.images).ids.push_back(builder_.input(choice_.bootstrapping.output_limbs(), choice_.image_scale));
  held(step_.images).margin = 0;
  for (const Op& op : step_.ops) {
    visit(op);
    if (!builder_.fits()) return std::nullopt;
  }
  finish(out, state);
  if (!builder_.fits()) return std::nullopt;
  const int classes = step_.value(step_.error).shape.channels;
  for (int g = 0; g < a_.groups(); ++g) {
    Products squares;
    for (int k = 0; k < classes; ++k) {
      const int e = held(step_.error).ids[static_cast<std::size_t>(g * classes + k)];
      squares.emplace_back(e, e);
    }
    builder_.output(builder_.multiply(squares));
  }
  if (!builder_.fits()) return std::nullopt;
  out.images = static_cast<std::size_t>(images);
  out.labels = label_inputs_.size();
  out.losses = static_cast<std::size_t>(a_.groups());
  out.program = builder_.take();
  program::trim_inputs(out.program);
  return out;
}

}  // namespace sotto::lowering
