#pragma once

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "lowering/arrangement.h"
#include "program/builder.h"

namespace sotto::lowering {

/// Leaves of the state, as operations use them: a kernel's number in all slots, a matrix's numbers in every tile.
///
/// The state goes through stages, each of which takes ciphertexts that repeat with a period to several that repeat with
/// a part of it: block k of r blocks of a period becomes sum over d of mask_d rot_d, where mask_d has the blocks that
/// lie d before k. All outputs share the rotations, r - 1 with one ModUp, so that in all there is one key switch for
/// each leaf; the last stage clears slots that hold no pixel in the same products.
class Spread {
 public:
  /// state: the value that holds it, in the builder's program. masks: by parameter, flags by tile position of what
  /// its leaves are multiplied by; empty: nothing.
  Spread(program::Builder& builder, const Arrangement& arrangement, int state, std::vector<std::vector<bool>> masks);

  /// Leaf number `leaf` of a parameter. At its first use it is made, with its neighbours and with `limbs` limbs, or as
  /// many as the state leaves; later uses find it there. Whoever asks for leaves when they are needed keeps few of them
  /// at a time at many limbs.
  int leaf(std::size_t parameter, int leaf, int limbs);

 private:
  struct Stage {
    int blocks = 1;    // that a period falls into
    int size = 1;      // slots of a block
    double mask = 1;   // scale
    int rescales = 0;  // by which it ends
  };
  using Node = std::pair<int, int>;  // slots of a block, number of the block

  [[nodiscard]] std::vector<Stage> stages(int unit) const;
  int mask(const Stage& stage, int block, const std::vector<bool>* clear);
  int block(const std::vector<Stage>& stages, std::size_t depth, int number, int limbs);
  [[nodiscard]] const std::vector<bool>* clearing(int begin, int size) const;
  [[nodiscard]] bool holds_weights(int begin, int size) const;

  program::Builder& builder_;
  const Arrangement& arrangement_;
  int state_;
  std::vector<std::vector<bool>> masks_;
  std::map<Node, int> made_;
  std::map<int, std::vector<Stage>> stages_;  // by unit
  // Patterns: by blocks of a period, their size, the block that is left, and what is cleared in it.
  std::map<std::tuple<int, int, int, const std::vector<bool>*>, int> patterns_;
};

}  // namespace sotto::lowering
