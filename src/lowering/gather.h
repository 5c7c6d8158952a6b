#pragma once

#include <map>
#include <vector>

#include "lowering/arrangement.h"
#include "program/builder.h"

namespace sotto::lowering {

/// The way back: from a ciphertext for each leaf, whose slots are still to be summed, to ciphertexts in which sums lie
/// where the state has their weights.
///
/// A stage merges r ciphertexts and sums r blocks of slots: y_d has source j in the blocks that lie d behind j, and the
/// result is the sum over d of y_d rotated by d blocks. That is one key switch for each leaf, and one ModDown for r of
/// them. What is left to sum, n / node slots, is summed once for each node.
class Gather {
 public:
  /// finer: how much less than a gradient's of what masks mask out they let through.
  Gather(program::Builder& builder, const Arrangement& arrangement, double finer = 1)
      : builder_(builder), arrangement_(arrangement), finer_(finer) {}

  /// Takes leaf number `leaf` of a parameter's gradient. What is there to be merged is merged at once: thousands of
  /// leaves would take gigabytes.
  void add(std::size_t parameter, int leaf, int value);

  /// By number of the node: a value that repeats with the node's size, summed over all slots of the same place.
  std::map<int, int> nodes();

 private:
  using Parts = std::map<int, int>;  // values by first slot within a node

  int merge(const Parts& parts, int size, int blocks);
  void merge_block(int node, int first, int unit, int blocks);
  [[nodiscard]] int leaves_between(int first, int end) const;
  [[nodiscard]] int summed(int value);

  program::Builder& builder_;
  const Arrangement& arrangement_;
  double finer_;
  std::map<int, Parts> leaves_;  // by node: what the first stage is still to merge
  std::map<int, Parts> merged_;  // by node: what it has merged
  std::map<int, int> unit_;      // by node
};

}  // namespace sotto::lowering
