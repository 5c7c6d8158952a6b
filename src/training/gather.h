#pragma once

#include <map>
#include <vector>

#include "program/builder.h"
#include "training/arrangement.h"

namespace sotto::training {

/// The way back: from a ciphertext for each leaf, whose slots are still to be summed, to ciphertexts in which sums lie
/// where the state has their weights.
///
/// A stage merges r ciphertexts and sums r blocks of slots: y_d has source j in the blocks that lie d behind j, and the
/// result is the sum over d of y_d rotated by d blocks. That is one key switch for each leaf, and one ModDown for r of
/// them. What is left to sum, n / node slots, is summed once for each node.
class Gather {
 public:
  Gather(program::Builder& builder, const Arrangement& arrangement) : builder_(builder), arrangement_(arrangement) {}

  /// Takes leaf number `leaf` of a parameter's gradient.
  void add(std::size_t parameter, int leaf, int value);

  /// By number of the node: a value that repeats with the node's size, summed over all slots of the same place.
  std::map<int, int> nodes();

 private:
  int merge(const std::map<int, int>& parts, int size, int blocks);
  [[nodiscard]] int summed(int value);

  program::Builder& builder_;
  const Arrangement& arrangement_;
  std::map<int, std::map<int, int>> leaves_;  // by first slot of the node: values by first slot within
  std::map<int, int> unit_;                   // by first slot of the node
};

}  // namespace sotto::training
