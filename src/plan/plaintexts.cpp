#include "plan/plaintexts.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

namespace sotto::plan {

Plaintexts::Plaintexts(const Plan& plan)
    : plan_(plan),
      period_(std::max<std::size_t>(64, static_cast<std::size_t>(plan.tile.area()))),
      encoder_(std::countr_zero(period_), ring::RingKind::conjugate_invariant) {
  for (const Tensor& t : plan.tensors) roundings_.emplace_back(t);
}

TaskPlaintexts::TaskPlaintexts(const Plaintexts& all, const Task& task)
    : all_(all), task_(task), step_(all.plan_.steps[static_cast<std::size_t>(task.step)]), patterns_(task.taps.size()) {
  const Plan& plan = all_.plan_;
  const Layout& out = plan.tensors[step_.output].layout;
  for (const Term& t : step_.terms) tables_.emplace_back(t, plan.tensors[t.source].layout, out);
  const std::size_t tile2 = static_cast<std::size_t>(plan.tile.area());
  for (std::size_t k = 0; k < task.taps.size(); ++k) {
    const Tap& tap = task.taps[k];
    if (tap.mask.empty()) continue;
    std::vector<double> slots =
        mask_values(tap, step_.terms[static_cast<std::size_t>(tap.term)], out, plan.tile, task.phase);
    slots.resize(all_.period_);
    for (std::size_t j = tile2; j < all_.period_; ++j) slots[j] = slots[j % tile2];
    patterns_[k] = all_.encoder_.embed_inverse(std::span<const double>(slots));
  }
}

std::vector<Column> TaskPlaintexts::columns(std::size_t o) const {
  std::vector<Column> list{{}};
  for (std::size_t k = 0; k < task_.taps.size(); ++k) {
    const auto term = static_cast<std::size_t>(task_.taps[k].term);
    const int channels = all_.plan_.tensors[step_.terms[term].source].layout.channels;
    for (int i = 0; i < channels; ++i)
      if (tables_[term].find(static_cast<int>(o), i) != nullptr) list.push_back({static_cast<int>(k), i});
  }
  return list;
}

// Integer coefficients of what a bias or a whole-map weight puts on the pixels of one phase: `value(y, x)` in the
// slots.
template <class F>
std::vector<double> TaskPlaintexts::map_coefficients(const Layout& layout, int phase, F&& value, double factor) const {
  const std::size_t tile2 = static_cast<std::size_t>(all_.plan_.tile.area());
  std::vector<double> slots(all_.period_);
  for (int y = 0; y < layout.height; ++y) {
    for (int x = 0; x < layout.width; ++x) {
      const Place place = place_of(layout, all_.plan_.tile, y, x);
      if (place.phase == phase) slots[place.position] = value(y, x);
    }
  }
  const bool same = std::all_of(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(tile2),
                                [&](double v) { return v == slots[0]; });
  if (same) return {std::nearbyint(slots[0] * factor)};
  for (std::size_t j = tile2; j < slots.size(); ++j) slots[j] = slots[j % tile2];
  std::vector<double> coefficients = all_.encoder_.embed_inverse(std::span<const double>(slots));
  for (double& v : coefficients) v = std::nearbyint(v * factor);
  return coefficients;
}

std::vector<double> TaskPlaintexts::bias(std::size_t o) const {
  const Layout& out = all_.plan_.tensors[step_.output].layout;
  const Axes& tile = all_.plan_.tile;
  const bool uniform = step_.bias.size() == static_cast<std::size_t>(out.channels);
  const bool fills = out.phases.h * tile.h == out.height && out.phases.w * tile.w == out.width;
  if (uniform && fills && out.gap == Axes(1)) return {std::nearbyint(step_.bias[o] * step_.scale)};
  const auto value = [&](int y, int x) {
    return uniform ? step_.bias[o] : step_.bias[(o * static_cast<std::size_t>(out.height) + y) * out.width + x];
  };
  return map_coefficients(out, task_.phase, value, step_.scale);
}

std::vector<std::vector<double>> TaskPlaintexts::row(std::size_t o, std::span<const Column> columns) const {
  std::vector<std::vector<double>> result(columns.size());
  // What is rounded together: the plaintexts with masks of a term, and its constants.
  std::map<std::pair<int, bool>, std::vector<std::size_t>> together;  // columns
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    if (column.tap < 0) {
      result[c] = bias(o);
      continue;
    }
    const Tap& tap = task_.taps[static_cast<std::size_t>(column.tap)];
    const Term& term = step_.terms[static_cast<std::size_t>(tap.term)];
    const Tensor& source = all_.plan_.tensors[term.source];
    const double scale = step_.scale / source.scale;
    const double* weights = tables_[static_cast<std::size_t>(tap.term)].find(static_cast<int>(o), column.channel);
    if (weights == nullptr) {
      result[c] = {0};
      continue;
    }
    if (term.kind == Term::Kind::full) {
      result[c] = map_coefficients(
          source.layout, tap.source.phase,
          [&](int y, int x) { return weights[term.even ? 0 : y * source.layout.width + x]; }, scale);
      continue;
    }
    const double w = weights[tap.tap] * scale;
    const std::vector<double>& pattern = patterns_[static_cast<std::size_t>(column.tap)];
    if (w == 0) {
      result[c] = {0};
      continue;
    }
    together[{tap.term, !pattern.empty()}].push_back(c);
    result[c] = pattern.empty() ? std::vector<double>{1} : pattern;
    for (double& v : result[c]) v *= w;
  }
  for (const auto& [which, list] : together) round(which.first, columns, list, result);
  return result;
}

// Rounds the plaintexts of some columns that read one term's source.
void TaskPlaintexts::round(int term, std::span<const Column> columns, const std::vector<std::size_t>& list,
                           std::vector<std::vector<double>>& plaintexts) const {
  const Term& of = step_.terms[static_cast<std::size_t>(term)];
  const Rounding& rounding = all_.roundings_[static_cast<std::size_t>(of.source)];
  std::vector<int> taps, channels;  // of the task; of the source
  for (std::size_t c : list) {
    taps.push_back(columns[c].tap);
    channels.push_back(columns[c].channel);
  }
  for (std::vector<int>* v : {&taps, &channels}) {
    std::ranges::sort(*v);
    v->erase(std::unique(v->begin(), v->end()), v->end());
  }
  std::vector<int> kernel;
  kernel.reserve(taps.size());
  for (int t : taps) kernel.push_back(task_.taps[static_cast<std::size_t>(t)].tap);
  std::vector<std::span<double>> vectors(taps.size() * channels.size());
  for (std::size_t c : list) {
    const auto at = [&](const std::vector<int>& sorted, int v) {
      return static_cast<std::size_t>(std::ranges::lower_bound(sorted, v) - sorted.begin());
    };
    vectors[at(channels, columns[c].channel) * taps.size() + at(taps, columns[c].tap)] = plaintexts[c];
  }
  rounding.round(rounding.taps(of, kernel), channels, vectors);
}

}  // namespace sotto::plan
