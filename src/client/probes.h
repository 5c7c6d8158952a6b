#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include "plan/answer_slots.h"

namespace sotto::client {

/// A probe so far beyond its bound spoils the whole batch: matrices of bootstrapping mix all slots and are exact to
/// 2^-40 or so, of which the bound of a sum over that of one value may take 2^10, and results want another 2^10.
inline constexpr double kSpoils = 0x1p20;

/// Raises times[i] to the largest magnitude of image i in a decrypted probe, over its bound: beyond 1 its values left
/// their range.
void add_probe(const plan::AnswerSlots& answer, const plan::ProbeView& probe,
               std::span<const std::complex<double>> slots, double scale, std::vector<double>& times);

/// How many images on either side can be disturbed by one that lies so many times beyond a bound: rotations bring
/// values of the images beside one under masks, which are only as exact as weights are.
std::size_t reach_of(const plan::ClientSpec& spec, double times);

/// How far apart two images of a batch lie, which goes round.
std::size_t apart(const plan::ClientSpec& spec, std::size_t a, std::size_t b);

}  // namespace sotto::client
