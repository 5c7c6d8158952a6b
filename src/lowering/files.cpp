#include "lowering/files.h"

#include <algorithm>
#include <cmath>

#include "plan/watch.h"

namespace sotto::lowering {

ckks::CiphertextFileInfo input_info(const TrainingPlan& plan, const LoweredStep& lowered, std::uint64_t batches) {
  const program::Program& p = lowered.program;
  const program::Value& image = p.value(p.inputs[1]);
  ckks::CiphertextFileInfo info;
  info.plan_id = plan.id;
  info.batch = static_cast<std::uint64_t>(plan.spec.batch);
  info.images = batches * info.batch;
  info.per_batch = lowered.images;
  info.limbs = image.limbs;
  info.scale = image.scale;
  for (std::size_t k = 0; k < lowered.labels; ++k) {
    const program::Value& label = p.value(p.inputs[1 + lowered.images + k]);
    info.probes.push_back({label.limbs, label.scale});
  }
  return info;
}

int loss_limbs(const LoweredStep& lowered) {
  return std::min(plan::kMostProbeLimbs, lowered.program.value(lowered.program.outputs[1]).limbs);
}

ckks::CiphertextFileInfo output_info(const TrainingPlan& plan, const LoweredStep& lowered,
                                     const std::string& input_id) {
  ckks::CiphertextFileInfo info;
  info.plan_id = plan.id;
  info.input_id = input_id;
  info.images = static_cast<std::uint64_t>(plan.spec.steps);
  info.batch = 1;
  info.per_batch = 1;
  info.limbs = plan.levels.bootstrapping.input_limbs();
  info.scale = lowered.state_scale;
  for (std::size_t k = 0; k < lowered.losses; ++k)
    info.probes.push_back({loss_limbs(lowered), lowered.program.value(lowered.program.outputs[1 + k]).scale});
  return info;
}

}  // namespace sotto::lowering
