#include "engine/body_run.h"

#include <utility>

#include "lowering/features.h"
#include "runtime/batch_run.h"

namespace sotto::engine {

BodyRun::BodyRun(const lowering::TrainingPlan& plan, const ckks::KeyFile& keys, const ckks::Evaluator& evaluator,
                 std::uint64_t memory)
    : parameters_(ckks::Parameters::create(plan.body->client.parameters)),
      ring_(parameters_.make_ring(simd::select_kernels(), memory)),
      keys_(keys.also_for(ring_, plan.body->client.parameters, plan.body->client.keys)),
      model_(*plan.body->plan, parameters_, ring_),
      packing_(lowering::pack_features(plan)),
      pack_(packing_, evaluator, nullptr) {}

std::vector<ckks::Ciphertext> BodyRun::run(std::vector<ckks::PackedCiphertext> images,
                                           const std::function<void(double)>& progress, const std::atomic<bool>* stop) {
  runtime::RunOptions options;
  options.stop = stop;
  if (progress) options.progress = [&](const runtime::Progress& p) { progress(p.done); };
  options.key_done = [&](const ckks::KeyId& id) { keys_->drop(id); };
  runtime::BatchRun run(model_, *keys_, std::move(options));
  std::vector<ckks::PackedCiphertext> features;
  for (ckks::Ciphertext& c : run.execute(std::move(images))) features.push_back(ckks::pack(*ring_, std::move(c)));
  std::vector<ckks::Ciphertext> out;
  for (const ckks::PackedCiphertext& c : pack_.run(std::move(features), {}))
    out.push_back(ckks::unpack(*ring_, c, c.limbs()));
  for (ckks::Ciphertext& c : run.take_probes()) out.push_back(std::move(c));
  return out;
}

}  // namespace sotto::engine
