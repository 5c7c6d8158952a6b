#pragma once

#include <cstddef>
#include <vector>

#include "circuit/circuit.h"

namespace sotto::circuit {

/// Weights between one input and one output channel: the taps of a convolution, the source's pixels of a full term, or
/// one for all of them.
std::size_t weights_per_pair(const Term& term, const Shape& in);

/// The blocks of a term, also if it connects all channels.
std::vector<Block> blocks_of(const Term& term, const Shape& in, const Shape& out);

/// Whether every output that a term reaches reads all inputs.
bool reads_all_inputs(const Term& term, const Shape& in);

/// Calls f(output, input, weights) for every connected pair of channels, block by block.
template <class F>
void for_each_pair(const Term& term, const Shape& in, const Shape& out, F f) {
  const std::size_t count = weights_per_pair(term, in);
  const double* w = term.weights.data();
  for (const Block& b : blocks_of(term, in, out))
    for (int o = b.out; o < b.out + b.outs; ++o)
      for (int i = b.in; i < b.in + b.ins; ++i, w += count) f(o, i, w);
}

/// For each tap of a convolution, whether it has a weight that is not zero.
std::vector<bool> taps_in_use(const Term& term);

/// Finds the weights of a term by their channels.
class WeightTable {
 public:
  /// The term must outlive it.
  WeightTable(const Term& term, const Shape& in, const Shape& out);

  /// The weights of a pair of channels; null if it is not connected.
  [[nodiscard]] const double* find(int output, int input) const;

 private:
  struct Entry {
    int block, first;  // input channel
    std::size_t at;    // of the block's first weight
  };

  std::vector<Block> blocks_;
  std::vector<std::vector<Entry>> by_output_;  // by first input
  const double* weights_;
  std::size_t per_pair_;
};

}  // namespace sotto::circuit
