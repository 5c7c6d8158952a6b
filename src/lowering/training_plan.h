#pragma once

#include <optional>
#include <string>

#include "ckks/parameters.h"
#include "lowering/arrangement.h"
#include "lowering/body.h"
#include "lowering/lowered_step.h"
#include "plan/plan.h"
#include "signing/verification_key.h"
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
  std::optional<signing::VerificationKey> signer = {};  ///< who must sign results, if anyone
  std::string id;  ///< BLAKE2b of everything that keys, inputs and outputs depend on
};

}  // namespace sotto::lowering
