#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "ckks/encoder.h"
#include "lowering/compile.h"
#include "runtime/program_run.h"
#include "secret/crypt.h"
#include "secret/keygen.h"
#include "support/toy_parameters.h"
#include "training/loss.h"
#include "training/twin.h"

namespace sotto::test {

using training::Example;
using training::State;

/// Both sides of training in one process over a toy ring.
class ToyTraining {
 public:
  explicit ToyTraining(lowering::TrainingPlan p)
      : plan(std::move(p)),
        lowered(lowering::lower(plan)),
        parameters(ckks::ToyParameters::make(plan.parameters)),
        ring(parameters.make_ring(simd::select_kernels())),
        encoder(plan.parameters.log_n, plan.parameters.kind),
        key(owner.secret_of(ring)) {
    if (lowered.program.bootstrapping) bootstrapper.emplace(*lowered.program.bootstrapping, *ring);
    const secret::KeyGenerator generator(plan.parameters.ciphertext_primes, key);
    for (const ckks::KeyId& id : plan.keys.keys)
      keys.keys.emplace(id, ckks::expand(*ring, plan.parameters.ciphertext_primes,
                                         generator.switching_key({plan.keys.tiers[id.tier], id.galois_element})));
    evaluator.emplace(parameters, ring, plan.keys.tiers, &keys);
  }

  [[nodiscard]] ckks::PackedCiphertext encrypt(const std::vector<double>& slots, int input) const {
    const program::Value& v = lowered.program.value(lowered.program.inputs[static_cast<std::size_t>(input)]);
    const ckks::Plaintext m =
        ckks::encode(*ring, encoder.embed_inverse(std::span<const double>(slots)), v.scale, v.limbs);
    return ckks::pack(*ring, ckks::expand(*ring, secret::encrypt_symmetric(key, m, ckks::random_seed(), 0)));
  }
  [[nodiscard]] std::vector<double> decrypt(const ckks::PackedCiphertext& c) const {
    const auto z = encoder.embed(secret::decrypt(key, ckks::unpack(*ring, c, std::min(c.limbs(), 2))));
    std::vector<double> v;
    for (const auto& x : z) v.push_back(x.real() / c.scale);
    return v;
  }
  [[nodiscard]] std::vector<double> whole(const State& state) const {
    const std::vector<double> period = lowering::pack_state(plan.step, plan.arrangement, state);
    std::vector<double> slots(ring->n());
    for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = period[s % period.size()];
    return slots;
  }

  /// What the program of a step makes of the slots of a state, of images and of labels.
  std::vector<ckks::PackedCiphertext> run(const std::vector<double>& state, std::span<const Example* const> batch,
                                          int number, const std::function<void(std::vector<double>&)>& disturb = {}) {
    std::vector<ckks::PackedCiphertext> in;
    int next = 0;
    in.push_back(encrypt(state, next++));
    const auto& layout = plan.arrangement.layouts[static_cast<std::size_t>(plan.step.images)];
    for (int g = 0; g < plan.arrangement.groups(); ++g)
      for (int c = 0; c < layout.channels; ++c)
        for (int phase = 0; phase < layout.phase_count(); ++phase) {
          std::vector<double> slots = lowering::pack_images(plan.step, plan.arrangement, batch, g, c, phase);
          if (disturb && g + 1 == plan.arrangement.groups()) disturb(slots);
          in.push_back(encrypt(slots, next++));
        }
    const int classes = plan.step.value(plan.step.labels).shape.channels;
    for (int g = 0; g < plan.arrangement.groups(); ++g)
      for (int k = 0; k < classes; ++k)
        in.push_back(encrypt(
            lowering::pack_labels(plan.arrangement, batch, g, k, training::absent_label(plan.spec.loss, classes)),
            next++));
    const runtime::ProgramRun program(lowered.program, *evaluator, bootstrapper ? &*bootstrapper : nullptr);
    return program.run(std::move(in), lowering::coefficients_of(plan, number));
  }

  /// One encrypted step of sgd from a state in the clear. losses: by image, summed squared errors.
  State step(const State& before, std::span<const Example* const> batch, int number, std::vector<double>* losses) {
    const auto out = run(whole(before), batch, number);
    if (losses != nullptr) {
      const auto each = static_cast<std::size_t>(plan.arrangement.images_per_group()),
                 positions = static_cast<std::size_t>(plan.arrangement.positions());
      std::vector<std::vector<double>> groups;
      for (std::size_t g = 1; g < out.size(); ++g) groups.push_back(decrypt(out[g]));
      for (std::size_t b = 0; b < batch.size(); ++b) losses->push_back(groups[b / each][b % each * positions]);
    }
    return lowering::unpack_state(plan.step, plan.arrangement, decrypt(out.front()));
  }

  lowering::TrainingPlan plan;
  lowering::LoweredStep lowered;
  ckks::Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  ckks::Encoder encoder;
  secret::OwnerKey owner = secret::OwnerKey::generate();
  secret::SecretKey key;
  std::optional<bootstrap::Bootstrapper> bootstrapper;
  ckks::KeyMap keys;
  std::optional<ckks::Evaluator> evaluator;
};

inline std::vector<Example> random_examples(std::size_t count, std::size_t size, int classes) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  std::vector<Example> list(count);
  for (std::size_t k = 0; k < count; ++k) {
    list[k].label = static_cast<int>(k) % classes;
    for (std::size_t i = 0; i < size; ++i) list[k].image.push_back(0.5 * normal(random));
  }
  return list;
}

}  // namespace sotto::test
