#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/key_files.h"
#include "client/origin.h"
#include "lowering/compile.h"
#include "training/twin.h"

namespace sotto::client {

/// Encrypts examples, images and labels, for a training plan: as many whole batches as they make, shuffled by the
/// spec's seed. Throws Error{bad_input} if there are fewer examples than one batch takes, or
/// one does not fit the network.
inputs::InputName encrypt_examples(const lowering::TrainingPlan& plan, const Keys& keys,
                                   const std::vector<training::Example>& examples, const Sink& sink,
                                   const ProgressFn& progress);

/// What encrypted training made of a network.
struct DecryptedTraining {
  /// By finished step: mean over the batch of half the summed squared errors, before the step's update.
  std::vector<double> losses;
  /// By finished step. With normal equations: solutions for all batches so far, without velocities.
  std::vector<training::State> states;
  ResultFile file;  ///< that they come from

  /// Images whose values left the range of layers that run once for every image, and those beside them that they can
  /// disturb; of a run that one of them spoiled all.
  std::size_t out_of_range = 0;
  bool spoiled = false;  ///< whether there is such a run: what was trained on it means nothing

  /// Step at whose end a weight or velocity was beyond the plan's range, or the loss of an image beyond that of its
  /// kind, or whose normal equations have no solution that errors of encryption leave as it is; -1: none. What lies
  /// behind it means nothing.
  int overflow = -1;
};

/// Decrypts an output of training. Throws Error{wrong_key} if the file belongs to another key or plan, is not signed as
/// the plan promises, has another origin than expected or does not decrypt, Error{bad_input} if it is damaged or lacks
/// steps or features.
DecryptedTraining decrypt_training(const lowering::TrainingPlan& plan, const Keys& keys, const Source& source,
                                   const ProgressFn& progress, const Origin& expected = {});

}  // namespace sotto::client
