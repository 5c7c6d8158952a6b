#include "runtime/probe_sums.h"

#include <algorithm>

#include "base/error.h"
#include "plan/probe.h"

namespace sotto::runtime {

void ProbeSums::clear() {
  sums_.clear();
  sums_.resize(plan_.probes.size());
}

bool ProbeSums::watches(int tensor) const {
  return std::any_of(plan_.probes.begin(), plan_.probes.end(),
                     [&](const plan::Probe& p) { return p.tensor == tensor; });
}

void ProbeSums::add(int tensor, const ckks::Ciphertext& c) {
  for (std::size_t k = 0; k < sums_.size(); ++k) {
    const plan::Probe& probe = plan_.probes[k];
    if (probe.tensor != tensor) continue;
    const plan::Tensor& t = plan_.tensors[static_cast<std::size_t>(tensor)];
    Sum& sum = sums_[k];
    check(sum.added < t.layout.ciphertexts(), "a watched tensor has too many ciphertexts");
    ckks::Ciphertext next = evaluator_.drop_to(c, plan_.parameters.whole(probe.limbs));
    const bool minus = plan::sign_of(probe, sum.added) < 0;
    if (sum.added == 0)
      sum.open = minus ? evaluator_.sub(evaluator_.sub(next, next), next) : std::move(next);
    else
      sum.open = minus ? evaluator_.sub(sum.open, next) : evaluator_.add(sum.open, next);
    if (++sum.added == t.layout.ciphertexts()) {
      sum.open.scale = t.scale;  // up to rounding in double
      sum.done = ckks::pack(evaluator_.ring(), std::move(sum.open));
      sum.open = {};
    }
  }
}

std::vector<ckks::Ciphertext> ProbeSums::take() {
  std::vector<ckks::Ciphertext> list;
  for (Sum& sum : sums_) {
    check(sum.done.limbs() > 0, "a watched tensor is not complete");
    list.push_back(ckks::unpack(evaluator_.ring(), sum.done, sum.done.level()));
    sum = {};
  }
  return list;
}

}  // namespace sotto::runtime
