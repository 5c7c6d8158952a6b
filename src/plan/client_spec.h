#pragma once

#include "plan/plan.h"

namespace sotto::plan {

/// The public part of a plan: what a client needs to make keys, encrypt images and read scores. Holds no weights.
struct ClientSpec {
  std::string network;
  ckks::ParametersSpec parameters;
  Axes tile = 8;  ///< T
  int batch = 0;  ///< images per run
  Tensor input;
  ckks::Level output_level = 1;
  double output_scale = 1;
  ckks::KeyRequest keys;
  Interface io;
  Watch watch;
  std::string plan_digest;  ///< hash of what the plan holds beyond this, 64 hexadecimal digits
  std::string plan_id;      ///< see plan_id in plan/identity.h
  std::optional<signing::VerificationKey> signer = {};  ///< who must sign results, if anyone
  bool training = false;  ///< of a training plan: keys are made for it, but what is encrypted differs
};

ClientSpec client_part(const Plan& plan);

/// Checks a description that came from a file. Throws Error{bad_input}.
void verify(const ClientSpec& spec);

}  // namespace sotto::plan
