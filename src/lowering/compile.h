#pragma once

#include <optional>
#include <vector>

#include "lowering/lower.h"
#include "lowering/training_plan.h"

namespace sotto::lowering {

/// What limits the modulus.
struct RingLimits {
  int log_n = 16;
  int primes = 0;  ///< of a key, special ones included; 0: what the level of security allows
  ckks::SecurityLevel security = ckks::SecurityLevel::classical128;
};

/// Chooses levels and keys for the training of a step: as few levels as its products take, so that bootstrapping and
/// keys are small. body: what makes the images of the step, if anything does. Throws Error{no_resources} if
/// bootstrapping leaves too few levels, or is not possible at the level of security; Error{bad_input} for what cannot
/// be trained.
TrainingPlan compile(Step step, const Spec& spec, const RingLimits& limits = {}, std::optional<Body> body = {});

/// Where everything of a plan's step lies: for the spec's optimiser, in the body's tiles if there is one.
Arrangement arrangement_of(const Step& step, const Spec& spec, int log_n, const std::optional<Body>& body);

/// Throws Error{bad_input} unless the maps that a body makes lie where the steps expect them; a plan without its body's
/// plan, as its owner has it, is not looked at.
void require_maps_in_place(const TrainingPlan& plan);

/// The program of a plan. Throws Error{bad_input} if its levels do not suffice, as in a file that was changed.
LoweredStep lower(const TrainingPlan& plan);

/// The keys of plan.keys that the tiers there must hold.
std::vector<ckks::KeyId> required_keys(const TrainingPlan& plan, const LoweredStep& lowered);

/// Bytes that a run with so many batches has in memory at most.
std::uint64_t memory_of(const TrainingPlan& plan, const LoweredStep& lowered, std::uint64_t batches = 1);
/// The keys of a plan with those of its body, for whoever makes them.
ckks::KeyRequest all_keys_of(const TrainingPlan& plan);
/// Bytes of the file with a plan's evaluation keys.
std::uint64_t key_bytes_of(const TrainingPlan& plan);

/// What a step's program multiplies by, in the order of its coefficients.
std::vector<double> coefficients_of(const TrainingPlan& plan, int step);

}  // namespace sotto::lowering
