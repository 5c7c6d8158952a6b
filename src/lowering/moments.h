#pragma once

#include <optional>
#include <span>
#include <vector>

#include "lowering/arrangement.h"
#include "lowering/lowered_step.h"
#include "training/moments.h"
#include "training/spec.h"

namespace sotto::lowering {

/// Where the moments of a step's images and labels lie: in the slots of one ciphertext, which repeats them. Leaves are
/// of a tile's positions: products of a class's label with a ciphertext of an image, [class][ciphertext], then labels,
/// then products of ciphertexts with shifted ones. Throws Error{bad_input} unless the step trains a dense layer
/// (training::require_dense_layer) of so few features that a ciphertext holds their moments.
Arrangement arrange_moments(const Step& step, int batch, int log_n, int tile = 0);

/// The moments that slots hold.
training::Moments unpack_moments(const Step& step, const Arrangement& arrangement, std::span<const double> slots);

/// How much the moments that slots hold err, root mean square, as errors of the largest sums reach all slots: seen
/// where it is known what should be there. The sums are of a part of all `images`.
double error_of_moments(const Step& step, const Arrangement& arrangement, std::span<const double> slots, double part,
                        double images);

/// Levels of a program that adds up moments: it bootstraps nothing. image_scale: of the images.
LevelChoice moment_levels(int log_n, double image_scale);

/// Writes the program that adds a batch's moments, over the images of all steps, to the state, which it has for an
/// input and output as any step; then images and labels. There are no losses. Nothing if it runs out of levels.
std::optional<LoweredStep> lower_moments(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
                                         const std::vector<std::uint64_t>& primes, const training::Spec& spec);

}  // namespace sotto::lowering
