#pragma once

#include <vector>

#include "ckks/evaluator.h"
#include "plan/plan.h"

namespace sotto::runtime {

/// The probes of a plan during a run: every ciphertext of a watched tensor is added when it is made, so that nothing
/// lives longer for them.
class ProbeSums {
 public:
  /// Both must outlive this.
  ProbeSums(const plan::Plan& plan, const ckks::Evaluator& evaluator) : plan_(plan), evaluator_(evaluator) { clear(); }

  /// Forgets all sums: a new run begins.
  void clear();
  /// Whether a tensor has a probe.
  [[nodiscard]] bool watches(int tensor) const;
  /// Adds the next ciphertext of a tensor, in the order phase * blocks + block; ignores tensors without a probe.
  void add(int tensor, const ckks::Ciphertext& c);
  /// The sums, in the order of the plan's probes. All tensors must be complete.
  [[nodiscard]] std::vector<ckks::Ciphertext> take();

 private:
  struct Sum {
    int added = 0;
    ckks::Ciphertext open;        // while the tensor is made
    ckks::PackedCiphertext done;  // when it is complete
  };

  const plan::Plan& plan_;
  const ckks::Evaluator& evaluator_;
  std::vector<Sum> sums_;  // by probe
};

}  // namespace sotto::runtime
