#include "plan/grouped_plaintexts.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <tuple>

#include "base/parallel.h"

namespace sotto::plan {

const ckks::Encoder& GroupedPlaintexts::encoder(std::size_t period) const {
  const std::scoped_lock lock(mutex_);
  return encoders_.try_emplace(period, std::countr_zero(period), ring::RingKind::conjugate_invariant).first->second;
}

// The weights of a column in the slots of its source; empty if all are zero.
std::vector<double> GroupedPlaintexts::tap_slots(const Task& task, const circuit::WeightTable& weights,
                                                 const Column& column, int block, int giant, std::size_t period) const {
  const Tap& tap = task.taps[static_cast<std::size_t>(column.tap)];
  const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const Term& term = step.terms[static_cast<std::size_t>(tap.term)];
  const Layout& in = plan_.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  const int tile2 = plan_.tile.area(), ahead = giant * step.baby, move = ahead + tap.shift;
  const bool full = term.kind == Term::Kind::full;
  std::vector<double> slots, factors;
  if (!tap.mask.empty()) factors = mask_values(tap, term, out, plan_.tile, task.phase);
  for (int q = 0; q < static_cast<int>(period) / tile2; ++q) {
    // Place q of the rotated source holds what was at place q + shift, and the giant step takes it to place q - ahead;
    // with several images both may lie in another image than q.
    const int s = ((q - ahead) % out.group + out.group) % out.group;
    const int from = plan_.batch == 1 ? (s + move) % in.group : s + move;
    if (from < 0 || from >= in.group) continue;
    const int o = out.channel_at(block, s), i = in.channel_at(column.block, from);
    if (o < 0 || i < 0 || packing::channel_move(in, s, i % in.group, plan_.batch == 1) != move) continue;
    const double* w = weights.find(o, i);
    if (w == nullptr || (!full && w[tap.tap] == 0)) continue;
    if (slots.empty()) slots.resize(period);
    double* to = slots.data() + static_cast<std::ptrdiff_t>(q) * tile2;
    if (full) {
      for (int y = 0; y < in.height; ++y) {
        for (int x = 0; x < in.width; ++x) {
          const Place place = place_of(in, plan_.tile, y, x);
          if (place.phase == tap.source.phase) to[place.position] = w[term.even ? 0 : y * in.width + x];
        }
      }
    } else {
      for (int p = 0; p < tile2; ++p)
        to[p] = factors.empty() ? w[tap.tap] : w[tap.tap] * factors[static_cast<std::size_t>(p)];
    }
  }
  if (std::all_of(slots.begin(), slots.end(), [](double v) { return v == 0; })) slots.clear();
  return slots;
}

// The same with channels in gaps: what an output adds up lies where its input does, before the giant step.
std::vector<double> GroupedPlaintexts::tap_slots_in_gaps(const Task& task, const circuit::WeightTable& weights,
                                                         const Column& column, int block, int giant,
                                                         std::size_t period) const {
  const Tap& tap = task.taps[static_cast<std::size_t>(column.tap)];
  const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const Term& term = step.terms[static_cast<std::size_t>(tap.term)];
  const Layout& in = plan_.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  const bool full = term.kind == Term::Kind::full;
  const auto area = static_cast<std::size_t>(plan_.tile.area());
  std::vector<double> slots(area), factors(area, 1.0);
  if (!full && !tap.mask.empty()) factors = mask_values(tap, term, out, plan_.tile, task.phase);
  // The place of an input's block at an offset, or -1.
  const auto place_at = [&](int offset) {
    const int row = offset / plan_.tile.w, column = offset % plan_.tile.w;
    return offset >= 0 && row < in.fill.h && column < in.fill.w ? row * in.fill.w + column : -1;
  };
  // Calls f(weights, offset) for the connected pairs with an input in this block whose way is the giant step's; of a
  // full term for all.
  const auto for_each = [&](auto f) {
    const int ways = full ? in.together() : out.together();
    for (int k = 0; k < ways; ++k) {
      const int to = full ? 0 : k, from = full ? k : place_at(giant + packing::offset_of(out, plan_.tile, k));
      if (from < 0 || (full && giant != 0)) continue;
      const int o = out.channel_at(block, to), i = in.channel_at(column.block, from);
      const double* w = o < 0 || i < 0 ? nullptr : weights.find(o, i);
      if (w != nullptr) f(w, static_cast<std::size_t>(packing::offset_of(in, plan_.tile, from)));
    }
  };
  for_each([&](const double* w, std::size_t offset) {
    if (full) {
      for (int y = 0; y < in.height; ++y) {
        for (int x = 0; x < in.width; ++x) {
          const Place place = place_of(in, plan_.tile, y, x);
          if (place.phase == tap.source.phase)
            slots[static_cast<std::size_t>(place.position) + offset] = w[term.even ? 0 : y * in.width + x];
        }
      }
    } else if (w[tap.tap] != 0) {
      for (std::size_t p = 0; p < area; ++p)
        if (factors[p] != 0) slots[(p + offset) % area] = w[tap.tap] * factors[p];
    }
  });
  if (std::ranges::all_of(slots, [](double v) { return v == 0; })) return {};
  slots.resize(period);
  for (std::size_t j = area; j < period; ++j) slots[j] = slots[j % area];
  return slots;
}

std::vector<double> GroupedPlaintexts::bias_slots(const Task& task, int block, std::size_t period) const {
  const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  const int tile2 = plan_.tile.area(), places = static_cast<int>(period) / tile2;
  const bool uniform = step.bias.size() == static_cast<std::size_t>(out.channels);
  std::vector<double> slots(period);
  const auto set = [&](int o, int offset) {
    for (int y = 0; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) {
        const Place place = place_of(out, plan_.tile, y, x);
        if (place.phase == task.phase)
          slots[static_cast<std::size_t>(offset + place.position)] =
              uniform ? step.bias[static_cast<std::size_t>(o)]
                      : step.bias[(static_cast<std::size_t>(o) * out.height + y) * out.width + x];
      }
    }
  };
  // With groups the period may have more places than a block; else it may have several tiles.
  const bool gaps = out.group == 1;
  for (int s = 0; s < (gaps ? out.together() : places); ++s) {
    const int o = out.channel_at(block, gaps ? s : s % out.group);
    if (o >= 0) set(o, packing::offset_of(out, plan_.tile, s));
  }
  for (std::size_t j = static_cast<std::size_t>(tile2); gaps && j < period; ++j)
    slots[j] = slots[j % static_cast<std::size_t>(tile2)];
  return slots;
}

GroupedPlaintexts::Sum GroupedPlaintexts::of(const Task& task, int block, int giant) const {
  const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const std::size_t period = step_period(plan_, step);
  const auto source = [&](const Tap& tap) -> const Tensor& {
    return plan_.tensors[static_cast<std::size_t>(step.terms[static_cast<std::size_t>(tap.term)].source)];
  };
  std::vector<circuit::WeightTable> tables;
  const Layout& output = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  for (const Term& t : step.terms)
    tables.emplace_back(t, plan_.tensors[static_cast<std::size_t>(t.source)].layout, output);
  Sum sum;
  for (std::size_t k = 0; k < task.taps.size(); ++k)
    for (int i = 0; i < source(task.taps[k]).layout.blocks(); ++i) sum.columns.push_back({static_cast<int>(k), i, {}});
  const bool gaps = fills_gaps(plan_, step);
  parallel_for(sum.columns.size(), [&](std::size_t c) {
    Column& column = sum.columns[c];
    const auto term = static_cast<std::size_t>(task.taps[static_cast<std::size_t>(column.tap)].term);
    column.coefficients = gaps ? tap_slots_in_gaps(task, tables[term], column, block, giant, period)
                               : tap_slots(task, tables[term], column, block, giant, period);
  });
  std::erase_if(sum.columns, [](const Column& c) { return c.coefficients.empty(); });
  if (giant == 0) sum.bias = bias_slots(task, block, period);
  // From slots to coefficients. Two plaintexts share a transform, and are scaled behind it: the bias has a scale so
  // much larger that its rounding would drown weights.
  const std::size_t plaintexts = sum.columns.size() + (giant == 0 ? 1 : 0);
  const auto plaintext = [&](std::size_t k) -> std::vector<double>& {
    return k < sum.columns.size() ? sum.columns[k].coefficients : sum.bias;
  };
  const auto scale = [&](std::size_t k) {
    if (k >= sum.columns.size()) return step.scale;
    return step.scale / source(task.taps[static_cast<std::size_t>(sum.columns[k].tap)]).scale;
  };
  parallel_for((plaintexts + 1) / 2, [&](std::size_t pair) {
    const std::size_t first = 2 * pair, second = first + 1;
    std::vector<double> none, &a = plaintext(first), &b = second < plaintexts ? plaintext(second) : none;
    std::tie(a, b) = encoder(period).embed_inverse_pair(a, b);
    for (double& v : a) v = std::nearbyint(v * scale(first));
    for (double& v : b) v = std::nearbyint(v * scale(second));
  });
  return sum;
}

}  // namespace sotto::plan
