#pragma once

#include <map>
#include <vector>

#include "plan/schedule.h"

namespace sotto::plan {

/// Which ciphertexts exist while a schedule runs: phases of tensors and their rotated copies, with their levels.
///
/// The one place that says when a ciphertext is made and when it, or some of its limbs, can go. A run, the cost
/// model and the choice of what to keep in memory all follow it: for every task copies(t), make_copies(t), release(t),
/// add_output(t).
class LiveSet {
 public:
  /// Begins with all phases of the input. Both must outlive this.
  LiveSet(const Plan& plan, const Schedule& schedule);

  /// Copies that task t needs and that do not exist yet, or without some of the limbs, by what they are made from
  /// (plan::made_from): a phase, or a copy that stands before them in the list.
  struct Copies {
    Source from;
    std::vector<std::int64_t> rotations;  ///< of the phase
  };
  [[nodiscard]] std::vector<Copies> copies(int t) const;
  /// Adds these copies.
  void make_copies(int t);
  /// Drops what no task after t reads, and limbs that none needs.
  void release(int t);
  /// Adds the output of task t.
  void add_output(int t);

  /// The levels of everything that exists.
  [[nodiscard]] const std::map<Source, ckks::Level>& items() const { return items_; }
  /// Limbs of both polynomials of all ciphertexts of them.
  [[nodiscard]] std::uint64_t total() const { return total_; }
  /// Limbs of both polynomials of all ciphertexts of an item of this level.
  [[nodiscard]] std::uint64_t size(const Source& item, const ckks::Level& level) const;
  /// The first task after t that reads the item; the number of tasks if there is none.
  [[nodiscard]] int next_use(const Source& item, int t) const;

 private:
  // Changes the level of an item; one without limbs: it goes.
  void hold(const Source& item, const ckks::Level& level);

  const Plan& plan_;
  const Schedule& schedule_;
  std::map<Source, ckks::Level> items_;
  std::vector<Source> fresh_;  // since the last release
  std::uint64_t total_ = 0;
};

}  // namespace sotto::plan
