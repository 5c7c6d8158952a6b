#include "runtime/model.h"

#include <malloc.h>

#include "plan/cost.h"

namespace sotto::runtime {

Model::Model(plan::Plan plan, ckks::Parameters parameters, std::shared_ptr<const ring::Ring> ring)
    : plan_(std::move(plan)),
      parameters_(std::move(parameters)),
      ring_(std::move(ring)),
      schedule_(plan::make_schedule(plan_)),
      last_used_(schedule_.tasks.size()) {
  for (const auto& [id, span] : plan::key_spans(plan_, schedule_))
    last_used_[static_cast<std::size_t>(span.last)].push_back(id);
  if (plan_.group() == 1)
    single_.emplace(plan_, *ring_);
  else
    grouped_.emplace(plan_, *ring_);
  if (plan_.bootstrapping) {
    bootstrapper_.emplace(*plan_.bootstrapping, *ring_);
    ::malloc_trim(0);  // making its matrices leaves free memory in the heaps of all threads
  }
  work_before_.push_back(0);
  for (const plan::Cost::Task& t : plan::estimate(plan_).tasks)
    work_before_.push_back(work_before_.back() + t.total().seconds(plan::kTypicalSpeed));
  for (double& s : work_before_) s /= work_before_.back();
}

}  // namespace sotto::runtime
