#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bootstrap/bootstrapper.h"
#include "ckks/parameters.h"
#include "plan/schedule.h"
#include "runtime/grouped_linear.h"
#include "runtime/linear.h"

namespace sotto::runtime {

/// A plan made ready to run: the ring, the order of tasks, linear maps and the matrices of bootstrapping. Made once and
/// not changed any more, so that any number of runs share it, at the same time, too.
class Model {
 public:
  /// `ring`: of the parameters, which are the plan's. The plan must have been verified (plan::verify).
  Model(plan::Plan plan, ckks::Parameters parameters, std::shared_ptr<const ring::Ring> ring);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  [[nodiscard]] const plan::Plan& plan() const { return plan_; }
  [[nodiscard]] const ckks::Parameters& parameters() const { return parameters_; }
  [[nodiscard]] const std::shared_ptr<const ring::Ring>& ring() const { return ring_; }
  [[nodiscard]] const plan::Schedule& schedule() const { return schedule_; }
  /// The keys that no task behind this one needs.
  [[nodiscard]] const std::vector<ckks::KeyId>& last_used(std::size_t task) const { return last_used_[task]; }
  /// The part of the predicted work that lies before a task, 0 .. 1; for the number of tasks: 1.
  [[nodiscard]] double work_before(std::size_t task) const { return work_before_[task]; }

  /// The linear map of a plan with one channel per ciphertext; null if there are several.
  [[nodiscard]] const LinearMap* single() const { return single_ ? &*single_ : nullptr; }
  /// With several; null if there is one.
  [[nodiscard]] const GroupedLinear* grouped() const { return grouped_ ? &*grouped_ : nullptr; }
  /// Null if the plan bootstraps nothing.
  [[nodiscard]] const bootstrap::Bootstrapper* bootstrapper() const {
    return bootstrapper_ ? &*bootstrapper_ : nullptr;
  }

 private:
  plan::Plan plan_;
  ckks::Parameters parameters_;
  std::shared_ptr<const ring::Ring> ring_;
  plan::Schedule schedule_;
  std::vector<std::vector<ckks::KeyId>> last_used_;  // by task
  std::vector<double> work_before_;
  std::optional<LinearMap> single_;
  std::optional<GroupedLinear> grouped_;
  std::optional<bootstrap::Bootstrapper> bootstrapper_;
};

}  // namespace sotto::runtime
