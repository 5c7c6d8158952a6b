#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace sotto::client {

/// Orders of the Renyi divergences that are kept account of.
inline constexpr std::array<double, 12> kOrders = {1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

/// By order, in nats: at most the Renyi divergence between results that are published and results that could be made
/// without the secret key. Those of several releases add up (Mironov, Renyi differential privacy, CSF 2017).
using Divergence = std::array<double, kOrders.size()>;

/// What all releases together tell.
Divergence operator+(Divergence a, const Divergence& b);

/// Bits that recovering the key still costs who sees the results, of `security_bits` without them. By the preservation
/// of probabilities, Pr[E] <= (Pr'[E] exp(D))^((a - 1) / a) at order a (Bai et al., ePrint 2015/483, section 2.3).
/// 0 if nothing is known to be left.
double key_bits(const Divergence& divergence, int security_bits);

/// Statistical security in bits: nobody, whatever they can compute, tells these results from such that were made
/// without the key with a larger advantage, as ePrint 2022/816 counts it: noise of deviation sqrt(12 tau) 2^(s/2) |e|
/// for tau releases gives s bits. Below 0 where the noise is too small for that to say anything.
double statistical_bits(const Divergence& divergence);

/// What publishing must leave.
struct Target {
  double key_bits = 100;                        ///< that recovering the key must cost
  std::optional<double> statistical_bits = {};  ///< in its place: statistical security
  int releases = 1;                             ///< results like these that are to be published under one key
  int security_bits = 128;                      ///< of the parameters, without results

  [[nodiscard]] bool met_by(const Divergence& divergence) const;
};

/// Noise that hides errors.
struct Noise {
  double deviation = 0;     ///< of the Gaussian noise, in units of scores
  std::string text;         ///< the same, in two digits: what names the noise in records
  double margin = 0;        ///< by which the best score must lead, noise included, for a label
  double step = 0;          ///< of scores: they are rounded to multiples of this; 0: no scores are published
  Divergence divergence{};  ///< what is told at most
};

/// Of the flooded scores of some images: the least deviation, in two digits, with which the target is met by as many
/// releases as it says. error: root mean square error of a score, above 0. Labels come from the flooded scores and tell
/// no more than these. Throws Error{usage} if no noise does.
Noise noise_of_scores(double error, std::size_t images, std::size_t classes, const Target& target);

/// Of labels alone: of every class, whether it leads all others by more than a margin is decided with noise. Needs less
/// noise than scores, since few classes of an image are anywhere near the margin. Errors as above.
Noise noise_of_labels(double error, std::size_t images, std::size_t classes, const Target& target);

/// At order a, the divergence of whether x + d + z > 0 from whether x + z > 0, z normal with deviation 1.
double divergence_of_sign(double x, double d, double order);

/// Deviations of noise that a label must lead by.
inline constexpr double kMarginDeviations = 4;

/// Errors are taken to be so many times as large as predicted.
inline constexpr double kErrorAllowance = 2;

}  // namespace sotto::client
