#pragma once

#include <span>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// Rounds the plaintexts of a convolution to integers so that their errors cancel over the inputs that they meet.
///
/// A plaintext's rounding error is multiplied by what its tap reads, and a sum errs by sum_k e_k x_k. Taps read
/// neighbouring pixels, channels are never negative and look alike: what they have in common is multiplied by the sum
/// of the errors. With the second moments H = E[x x^T] the mean square of the sum is e^T H e, and rounding one
/// plaintext after the other, each with the errors of those before it taken into account, is Babai's nearest plane
/// (1986) in the lattice of H = G D G^T, as in the quantisation of networks (Frantar et al., GPTQ, 2022): (1/12) sum_k
/// D_k is left of (1/12) trace(H). H is taken to be the product of moments over channels and over taps (docs/adr/0025).
class Rounding {
 public:
  /// The unit triangular factor G of a matrix of moments, and what it leaves of every variance.
  struct Factor {
    std::size_t size = 0;
    std::vector<double> lower;     ///< G, row by row; ones on the diagonal
    std::vector<double> variance;  ///< D
    std::vector<double> common;    ///< in place of G if all variables are alike: by column, every number below the one
  };

  Rounding() = default;
  /// For the inputs of `tensor`; without moments all channels and pixels are taken for alike.
  explicit Rounding(const Tensor& tensor);

  /// The factor over these taps (ky * kernel_w + kx) of a term.
  [[nodiscard]] Factor taps(const Term& term, std::span<const int> list) const;
  [[nodiscard]] const Factor& channels() const { return channels_; }
  /// What of a channel's mean square is left by the channels rounded before it.
  [[nodiscard]] double share(std::size_t channel) const { return share_[channel]; }

  /// vectors[k * taps.size + tap]: the real coefficients of the plaintext for channel channels[k], all of one length;
  /// rounded in place. Empty ones stand for weights of zero and stay so.
  void round(const Factor& taps, std::span<const int> channels, std::span<const std::span<double>> vectors) const;

 private:
  Factor channels_;
  std::vector<double> share_;
  Moments moments_;
};

}  // namespace sotto::plan
