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
ckks::CiphertextFileInfo output_info(const TrainingPlan& plan, const LoweredStep& lowered, const std::string& input_id);

/// Limbs of a loss in a file: as many as decryption reads.
int loss_limbs(const LoweredStep& lowered);

}  // namespace sotto::lowering
