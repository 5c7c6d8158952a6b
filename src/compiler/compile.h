#pragma once

#include <cmath>
#include <functional>
#include <optional>
#include <string>

#include "circuit/circuit.h"
#include "compiler/lower.h"
#include "compiler/statistics.h"
#include "compiler/weight_errors.h"
#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What the user may choose about a plan.
struct Options {
  /// Images per run at least, if the network's maps allow it; the plan's batch is the next size that fills the
  /// slots.
  int batch = 1024;
  int group = 1;  ///< channels per ciphertext, a power of two up to plan::kMaxGroup
  /// With one channel per ciphertext: others lie in the gaps that strides leave (packing::Layout::fill), which saves
  /// ciphertexts and costs rotations.
  bool fill = false;
  /// With bootstrapping: an extra prime for every square, which takes more time. Without: bootstraps if the modulus has
  /// no room for the score error that is asked for.
  bool precise = false;
  /// Root mean square error of the scores that encryption may make: more of the modulus is spent until it is predicted
  /// to be kept, or until there is no more. Infinite: whatever comes cheapest.
  double score_error = HUGE_VAL;
  /// The same where it costs only seconds.
  double cheap_score_error = HUGE_VAL;
  ckks::SecurityLevel security = ckks::SecurityLevel::classical128;
  bool small_primes = true;   ///< the modulus may have some, if nothing is bootstrapped
  bool square_tiles = false;  ///< for a training, which arranges features in square ones
  int output_limbs = 1;       ///< that the scores have at least: more for someone who goes on with them
};

/// A network as a circuit, with what calibration images show of its values: what plans of it are made from, in every
/// packing.
struct MeasuredCircuit {
  std::string name;  ///< of the network
  plan::Interface io;
  circuit::Circuit circuit;
  Statistics statistics;
};

/// Errors as for lower() and measure(). progress(images done) is called after each image.
MeasuredCircuit measured_circuit(const graph::Network& network, const Calibration& calibration,
                                 double relu_error = kReluError, const std::function<void(std::size_t)>& progress = {},
                                 Output output = Output::scores);

/// A plan and what its levels and scales are predicted to do to the scores.
struct Compiled {
  plan::Plan plan;
  double score_error = 0;           ///< root mean square, over scores, of the errors of encryption
  std::vector<double> step_errors;  ///< the part of every step
  std::vector<std::vector<WeightErrors>> weight_errors = {};  ///< by step and term
  std::vector<double> rotated = {};                           ///< by tensor: plan::rotated_share

  /// The step that errs most.
  [[nodiscard]] const plan::Step& worst() const;
};

/// Turns a circuit into a plan: packing, levels and scales, keys and probes.
///
/// Throws Error{bad_input} for maps that no packing has room for, Error{no_resources} if one layer needs more levels
/// than bootstrapping leaves, or the network more than there are at a level of security without bootstrapping.
Compiled compile(const MeasuredCircuit& network, const Options& options);

/// The same for a network that is measured on made-up images.
Compiled compile(const graph::Network& network, const Options& options, double relu_error = kReluError);

/// Whether Options::fill changes anything: the network has strides behind which channels have room, at this batch.
bool has_gaps(const MeasuredCircuit& network, const Options& options);

/// Predicted seconds for a run, by its batch.
using MostSeconds = std::function<double(int)>;

/// A plan with as little precision as it takes, without scales, probes and identity: enough for plan::estimate. Nothing
/// if the packing has no room for the network, or bootstrapping too few levels for one of its layers. most: a plan with
/// groups that takes longer without baby steps (plan::Step::baby) is left without.
std::optional<plan::Plan> outline(const MeasuredCircuit& network, const Options& options, const MostSeconds& most = {});

}  // namespace sotto::compiler
