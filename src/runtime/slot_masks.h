#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "ckks/sampler.h"
#include "plan/plan.h"

namespace sotto::runtime {

/// Standard deviation of the coefficients of a mask, as a part of the modulus: seven of them, and the scores, stay
/// below plan::kMostOfModulus.
inline constexpr double kMaskDeviation = 1.0 / 24;

/// Hides the slots of answers that mean nothing to the client: after a sum over a tile, say, they hold sums over parts
/// of pictures, which tell about single weights. A mask is a polynomial with uniform values in these slots, as large as
/// the modulus permits, and zero in those of plan::AnswerSlots: no level, and no error to speak of
/// (docs/adr/0039-slots-that-are-no-scores.md).
class SlotMasks {
 public:
  /// Both must outlive it; the ring must be conjugate-invariant. seed: nobody else's.
  SlotMasks(const plan::Plan& plan, const ring::Ring& ring, const ckks::Seed& seed);

  /// answer: what BatchRun::execute and take_probes gave for batch number `batch`.
  void hide(std::span<ckks::Ciphertext> answer, std::uint64_t batch) const;

 private:
  // What is to be hidden of a ciphertext.
  struct Mask {
    std::vector<bool> means;  // by slot: nothing is hidden there
    double most;              // magnitude that the mask may have elsewhere
  };
  void add_mask(ckks::Ciphertext& c, const Mask& mask, std::uint64_t stream) const;
  void add(ckks::Ciphertext& c, std::vector<double> coefficients) const;

  const ring::Ring& ring_;
  ckks::Encoder encoder_;
  ckks::Seed seed_;
  std::vector<Mask> masks_;  // by ciphertext of an answer
};

/// The seed of the masks for an input under some keys: a hash of their digests under the plan's key (plan::key_of).
/// The same question has the same answer, so that it is worth nothing to ask again; to whoever lacks the weights the
/// seed is random.
ckks::Seed mask_seed(const plan::Plan& plan, std::span<const unsigned char> input, std::span<const unsigned char> keys);

}  // namespace sotto::runtime
