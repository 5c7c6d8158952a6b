#include "circuit/term.h"

#include <algorithm>

namespace sotto::circuit {

std::size_t weights_per_pair(const Term& term, const Shape& in) {
  if (term.even) return 1;
  if (term.kind == Term::Kind::full) return static_cast<std::size_t>(in.height) * static_cast<std::size_t>(in.width);
  return static_cast<std::size_t>(term.kernel_h) * static_cast<std::size_t>(term.kernel_w);
}

std::vector<Block> blocks_of(const Term& term, const Shape& in, const Shape& out) {
  if (!term.blocks.empty()) return term.blocks;
  return {{0, out.channels, 0, in.channels}};
}

bool reads_all_inputs(const Term& term, const Shape& in) {
  return std::all_of(term.blocks.begin(), term.blocks.end(), [&](const Block& b) { return b.ins == in.channels; });
}

std::vector<bool> taps_in_use(const Term& term) {
  const std::size_t taps = static_cast<std::size_t>(term.kernel_h) * static_cast<std::size_t>(term.kernel_w);
  std::vector<bool> used(taps);
  std::size_t missing = taps;
  for (std::size_t k = 0; k < term.weights.size() && missing > 0; ++k) {
    if (term.weights[k] == 0 || used[k % taps]) continue;
    used[k % taps] = true;
    --missing;
  }
  return used;
}

WeightTable::WeightTable(const Term& term, const Shape& in, const Shape& out)
    : blocks_(blocks_of(term, in, out)),
      by_output_(static_cast<std::size_t>(out.channels)),
      weights_(term.weights.data()),
      per_pair_(weights_per_pair(term, in)) {
  std::size_t at = 0;
  for (std::size_t k = 0; k < blocks_.size(); ++k) {
    const Block& b = blocks_[k];
    for (int o = b.out; o < b.out + b.outs; ++o)
      by_output_[static_cast<std::size_t>(o)].push_back({static_cast<int>(k), b.in, at});
    at += static_cast<std::size_t>(b.outs) * static_cast<std::size_t>(b.ins) * per_pair_;
  }
  for (auto& list : by_output_)
    std::sort(list.begin(), list.end(), [](const Entry& a, const Entry& b) { return a.first < b.first; });
}

const double* WeightTable::find(int output, int input) const {
  const auto& list = by_output_[static_cast<std::size_t>(output)];
  const auto behind =
      std::upper_bound(list.begin(), list.end(), input, [](int i, const Entry& e) { return i < e.first; });
  if (behind == list.begin()) return nullptr;
  const Entry& e = *std::prev(behind);
  const Block& b = blocks_[static_cast<std::size_t>(e.block)];
  if (input >= b.in + b.ins) return nullptr;
  return weights_ + e.at +
         (static_cast<std::size_t>(output - b.out) * static_cast<std::size_t>(b.ins) +
          static_cast<std::size_t>(input - b.in)) *
             per_pair_;
}

}  // namespace sotto::circuit
