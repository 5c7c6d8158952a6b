#include "lowering/files.h"

#include <algorithm>
#include <cmath>

#include "lowering/features.h"
#include "plan/watch.h"

namespace sotto::lowering {

ckks::CiphertextFileInfo input_info(const TrainingPlan& plan, const LoweredStep& lowered, std::uint64_t batches) {
  const program::Program& p = lowered.program;
  const program::Value& image = p.value(p.inputs[1]);
  ckks::CiphertextFileInfo info;
  info.plan_id = plan.id;
  info.batch = static_cast<std::uint64_t>(plan.spec.batch);
  info.images = batches * info.batch;
  if (plan.body) {
    const plan::Tensor& input = plan.body->client.input;
    info.per_batch = static_cast<std::uint64_t>(plan.arrangement.groups() * input.layout.ciphertexts());
    info.level = input.level;
    info.scale = input.scale;
  } else {
    info.per_batch = lowered.images;
    info.level = image.limbs;
    info.scale = image.scale;
  }
  for (std::size_t k = 0; k < lowered.labels; ++k) {
    const program::Value& label = p.value(p.inputs[1 + lowered.images + k]);
    info.probes.push_back({label.limbs, label.scale});
  }
  return info;
}

int state_limbs(const LoweredStep& lowered) { return lowered.program.value(lowered.program.outputs.front()).limbs; }

int loss_limbs(const LoweredStep& lowered) {
  return std::min(plan::kMostProbeLimbs, lowered.program.value(lowered.program.outputs[1]).limbs);
}

std::vector<ckks::CiphertextShape> features_shape(const TrainingPlan& plan) {
  if (!plan.body) return {};
  std::vector<ckks::CiphertextShape> list(
      static_cast<std::size_t>(plan.arrangement.layouts[static_cast<std::size_t>(plan.step.images)].ciphertexts()),
      {plan.levels.bootstrapping.input_limbs(), feature_scale(plan.levels.bootstrapping, *plan.body)});
  for (const plan::ProbeView& p : plan.body->client.watch.probes) list.push_back({p.limbs, p.scale});
  return list;
}

ckks::CiphertextFileInfo output_info(const TrainingPlan& plan, const LoweredStep& lowered, const std::string& input_id,
                                     std::uint64_t batches) {
  ckks::CiphertextFileInfo info;
  info.plan_id = plan.id;
  info.input_id = input_id;
  info.images = static_cast<std::uint64_t>(plan.spec.steps);
  info.batch = 1;
  info.per_batch = 1;
  info.level = state_limbs(lowered);
  info.scale = lowered.state_scale;
  for (std::size_t k = 0; k < lowered.losses; ++k)
    info.probes.push_back({loss_limbs(lowered), lowered.program.value(lowered.program.outputs[1 + k]).scale});
  info.lead = features_shape(plan);
  if (plan.body) info.leads = batches * static_cast<std::uint64_t>(plan.arrangement.groups());
  return info;
}

}  // namespace sotto::lowering
