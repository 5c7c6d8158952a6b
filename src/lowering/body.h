#pragma once

#include <cstdint>
#include <optional>

#include "bootstrap/bootstrap_spec.h"
#include "compiler/calibration.h"
#include "compiler/planning_hooks.h"
#include "graph/network.h"
#include "plan/client_spec.h"
#include "training/layers.h"

namespace sotto::lowering {

/// The layers in front of those that are trained, where they run once for every image (training::features_of): a plan
/// as for inference, with one channel per ciphertext, which ends in the features: scores, or a map.
struct Body {
  plan::ClientSpec client;
  std::optional<plan::Plan> plan = {};  ///< the server's
  training::Standard standard;          ///< what features were before they were standardised
  bool maps = false;        ///< features are maps, which lie as images of a step do; else they have to be packed
  double range = 0;         ///< largest magnitude of a standardised feature that bootstrapping takes
  std::uint64_t bytes = 0;  ///< that a run on kThreadsOfBytes threads is predicted to need, keys included
};

/// Threads for which the memory of a body is written down.
inline constexpr int kThreadsOfBytes = 2;

/// How many primes features are divided by when they are masked, so that masks are fine enough; 0 if the scores of the
/// body have too few limbs for that. bootstrapping: that of the steps, which takes them next.
int mask_rescales(const Body& body, const bootstrap::BootstrapSpec& bootstrapping);

/// Plans the body of a network that a spec trains, up to the node of its features, measured on calibration images.
/// Throws Error{bad_input} for layers that cannot run encrypted, naming the node; Error{no_resources} if the features
/// are predicted to err by more than a twentieth of their spread.
Body compile_body(const graph::Network& network, int features, const training::Spec& spec,
                  compiler::Calibration calibration, const compiler::PlanningHooks& hooks = {},
                  ckks::SecurityLevel security = ckks::SecurityLevel::classical128);

/// What a step of a plan is of: a network with a new head if the spec asks for one, or what lies behind its body.
graph::Network trained_part(const graph::Network& network, const training::Spec& spec, const std::optional<Body>& body);

}  // namespace sotto::lowering
