#pragma once

#include <string>

#include "ckks/ciphertext_file.h"
#include "lowering/compile.h"

namespace sotto::lowering {

/// What an input file of a training plan says about itself, but for key, id and seed: a batch has the images'
/// ciphertexts, then, as `probes`, the labels'.
ckks::CiphertextFileInfo input_info(const TrainingPlan& plan, const LoweredStep& lowered, std::uint64_t batches);

/// What an output file says, but for the key: a "batch" is a step, of one "image". It has the state behind the step
/// and, as `probes`, the losses of its groups.
/// With a body there is, before all steps, for each group of every batch what its run found.
ckks::CiphertextFileInfo output_info(const TrainingPlan& plan, const LoweredStep& lowered, const std::string& input_id,
                                     std::uint64_t batches);

/// What a run of the body leaves in an output file: the features, packed, and its probes. Nothing without a body.
std::vector<ckks::CiphertextShape> features_shape(const TrainingPlan& plan);

/// Limbs of a state in a file.
int state_limbs(const LoweredStep& lowered);

/// Limbs of a loss in a file: as many as decryption reads.
int loss_limbs(const LoweredStep& lowered);

}  // namespace sotto::lowering
