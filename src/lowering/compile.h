#pragma once

#include "ckks/parameters.h"
#include "lowering/body.h"
#include "lowering/lower.h"
#include "plan/plan.h"
#include "sotto/io.h"
#include "training/spec.h"

namespace sotto::lowering {

using training::Spec;

/// Everything that a server needs to train on encrypted images. The program is made anew from the rest where it is read
/// from a file.
struct TrainingPlan {
  std::string network;  ///< name of the model file
  Bytes model;          ///< its contents
  Spec spec;
  Step step;
  Arrangement arrangement;
  std::optional<Body> body;  ///< makes what the step has for images, if some layers run once for every image
  LevelChoice levels;
  ckks::ParametersSpec parameters;
  ckks::KeyRequest keys;  ///< of the step and of what packs its features, without those of the body
  plan::Interface io;
  std::string id;  ///< BLAKE2b of everything that keys, inputs and outputs depend on
};

/// What limits the modulus.
struct RingLimits {
  int log_n = 16;
  int primes = 0;  ///< of a key, special ones included; 0: what 128-bit security allows
};

/// Bootstrapping that leaves no limbs beyond those that it takes.
bootstrap::BootstrapSpec bootstrap_spec(int log_n);

/// Chooses levels and keys for the training of a step: as few levels as its products take, so that bootstrapping and
/// keys are small. body: what makes the images of the step, if anything does. Throws Error{no_resources} if bootstrapping leaves too few levels, Error{bad_input} for what cannot
/// be trained.
TrainingPlan compile(Step step, const Spec& spec, const RingLimits& limits = {}, std::optional<Body> body = {});

/// The program of a plan. Throws Error{bad_input} if its levels do not suffice, as in a file that was changed.
LoweredStep lower(const TrainingPlan& plan);

/// The keys of plan.keys that the tiers there must hold.
std::vector<ckks::KeyId> required_keys(const TrainingPlan& plan, const LoweredStep& lowered);

/// Bytes that a run has in memory at most.
std::uint64_t memory_of(const TrainingPlan& plan, const LoweredStep& lowered);
/// The keys of a plan with those of its body, for whoever makes them.
ckks::KeyRequest all_keys_of(const TrainingPlan& plan);
/// Bytes of the file with a plan's evaluation keys.
std::uint64_t key_bytes_of(const TrainingPlan& plan);

/// What a step's program multiplies by, in the order of its coefficients.
std::vector<double> coefficients_of(const TrainingPlan& plan, int step);

}  // namespace sotto::lowering
