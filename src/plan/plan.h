#pragma once

#include <algorithm>
#include <bit>
#include <optional>
#include <string>
#include <vector>

#include "bootstrap/refresh_spec.h"
#include "ckks/eval_key.h"
#include "ckks/parameters.h"
#include "plan/watch.h"

namespace sotto::plan {

/// Most channels that share a ciphertext.
inline constexpr int kMaxGroup = 64;
/// Most phases of a map in each direction.
inline constexpr int kMostPhases = 64;

/// A number for the height and one for the width of maps.
struct Axes {
  int h = 1, w = 1;

  constexpr Axes(int both) : h(both), w(both) {}  // NOLINT(google-explicit-constructor): most are equal
  constexpr Axes(int height, int width) : h(height), w(width) {}
  bool operator==(const Axes&) const = default;
};

/// How the pixels of a feature map lie in ciphertexts.
///
/// A ciphertext holds, for one block of G channels, a tile of T x T positions for every image of the batch: slot (image
/// * G + s) * T^2 + ty * T + tx. Place s holds channel s mod `places()` of the block: a tensor with fewer channels than
/// G repeats them, and places between the number of channels and the next power of two hold zeros. Pixel (y, x) has
/// canvas coordinates (y * gap.h, x * gap.w); in each direction canvas coordinate Y belongs to phase Y mod P at tile
/// position Y / P. So P.h * P.w ciphertexts make a block, and neighbours lie in other ciphertexts or a few tile
/// positions away.
struct Layout {
  int channels = 0, height = 0, width = 0;
  Axes phases = 1;  ///< P, powers of two
  Axes gap = 1;     ///< no common factor with P
  int group = 1;    ///< G, a power of two up to kMaxGroup; the same for all tensors of a plan

  /// Ciphertexts per phase.
  [[nodiscard]] int blocks() const { return (channels + group - 1) / group; }
  [[nodiscard]] int phase_count() const { return phases.h * phases.w; }
  [[nodiscard]] int ciphertexts() const { return blocks() * phase_count(); }
  /// Places with channels of their own.
  [[nodiscard]] int places() const {
    return std::min(group, static_cast<int>(std::bit_ceil(static_cast<unsigned>(channels))));
  }
  /// The channel at place s of a block, or -1 if there is none.
  [[nodiscard]] int channel_at(int block, int s) const {
    const int c = block * group + s % places();
    return c < channels ? c : -1;
  }
  bool operator==(const Layout&) const = default;
};

/// Second moments of a feature map's values over calibration images, as the map lies in slots: how weights that read it
/// are rounded best (plan/rounding.h). Empty if unknown.
struct Moments {
  std::vector<double> channels;    ///< [c][c]: mean over images and pixels of the products of two channels
  int reach = 0;                   ///< farthest pixels whose products were measured, in each direction
  std::vector<double> neighbours;  ///< [dy 0 .. reach][dx -reach .. reach]: such means over the one for (0, 0)

  /// Of pixels that lie (dy, dx) apart; `otherwise` beyond the reach.
  [[nodiscard]] double correlation(int dy, int dx, double otherwise) const;
};

/// An encrypted feature map.
struct Tensor {
  std::string name;
  Layout layout;
  int limbs = 0;
  double scale = 1;  ///< ciphertext slots hold value * scale
  Moments moments = {};
};

/// Channels that a term connects: every output in [out, out + outs) with every input in [in, in + ins).
struct Block {
  int out = 0, outs = 0, in = 0, ins = 0;

  bool operator==(const Block&) const = default;
};

/// A linear map from one tensor, one summand of a step.
struct Term {
  enum class Kind {
    convolution,  ///< output pixel y reads input pixels y * stride + tap * dilation - pad
    full,         ///< reads all pixels: output is 1 x 1
    copy,         ///< the tensor itself, no weights: the only term of a step that works slot by slot
  };
  Kind kind = Kind::convolution;
  int source = 0;  ///< index into Plan::tensors
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0;  ///< negative: the first pixels are skipped
  /// Block after block [outs][ins][kernel_h][kernel_w], or [outs][ins][height][width] of the source.
  std::vector<double> weights;
  int dilation_h = 1, dilation_w = 1;
  std::vector<Block> blocks = {};  ///< no pair of channels twice; empty: one block of all channels
  std::vector<double> map = {};    ///< of a convolution: a factor for every output pixel; empty: 1
  bool even = false;  ///< of a full term: one weight for all pixels of a pair of channels, as behind a mean
};

/// A function of one real number by polynomials over [-1, 1] (compiler/function_approximation.h): range f(x / range),
/// where f is the last factor's value or, with `gate`, that times its argument.
struct Activation {
  double range = 1;                          ///< |x| may not exceed it
  bool gate = false;                         ///< f(t) = t g(t) with g the composition of the factors; else f = g
  std::vector<std::vector<double>> factors;  ///< Chebyshev coefficients, innermost first

  /// Levels that it takes.
  [[nodiscard]] int depth() const;
  [[nodiscard]] double operator()(double x) const;
};

/// One step of a plan: output = sum of terms + bias, then squared or not, then divided by the primes of a level; or a
/// function of one tensor, slot by slot.
struct Step {
  enum class Finish {
    square,    ///< square, relinearise, rescale: one level less
    rescale,   ///< rescale only: one level less
    keep,      ///< nothing: the last layer
    activate,  ///< `activation` of a copied tensor: as many levels less as it takes
    refresh,   ///< bootstrapping of a copied tensor by Plan::refresh: up to its output_limbs()
  };
  std::string name;
  int output = 0;  ///< index into Plan::tensors
  std::vector<Term> terms;
  std::vector<double>
      bias;  ///< one value per channel, or one per channel and pixel (zero padding makes borders differ)
  Finish finish = Finish::square;
  int limbs = 0;          ///< limbs at which the terms are added, or the tensor is copied
  double scale = 1;       ///< scale of that sum, or of the tensor
  int baby = 1;           ///< with groups: sources are rotated by 0 .. baby - 1 places, sums by multiples of baby
  Activation activation;  ///< of Finish::activate
  int extra_primes = 0;   ///< that it divides by beside those of its level, 0 or 1: room for precise weights

  /// Whether it works slot by slot on one copied tensor, without a bias.
  [[nodiscard]] bool slotwise() const { return finish == Finish::activate || finish == Finish::refresh; }
};

/// A step that copies a tensor (kind: activate or refresh).
Step copy_step(const std::string& name, int output, int source, Step::Finish kind);

/// How images become the input tensor and scores come back.
struct Interface {
  int channels = 0, height = 0, width = 0;
  std::vector<double> mean, std;     ///< per channel, in units of pixel / 255
  std::vector<std::string> classes;  ///< may be empty
  int outputs = 0;
};

/// What the compiler expects of a plan's scores, from simulated errors on calibration images (compiler/prediction.h).
struct Prediction {
  double label_agreement = 0;  ///< part of the labels that are those of the float network
  double score_error = 0;      ///< root mean square error of the scores
  double spread = 0;           ///< root mean square deviation of the scores from their means over the images
  int images = 0;              ///< on which this was measured; 0: nothing was predicted
  bool made_up = false;        ///< whether nobody gave images
  double promised = 0;         ///< the least label_agreement with which the plan was to be made
  double faint_error = 0;      ///< as score_error, of pictures of little contrast; 0: nothing but score_error is known
};

/// Everything that a server needs to run a network on encrypted images, and in `client_part` what the client needs.
///
/// A plan is data: a list of steps over tensors, with levels and scales fixed. It is interpreted in float64
/// (plan/interpret.h), as cost (plan/cost.h) and on ciphertexts (runtime/batch_run.h).
struct Plan {
  std::string network;  ///< name of the model file
  ckks::ParametersSpec parameters;
  int level_primes = 1;         ///< ciphertext primes that a level takes, 1 or 2
  int tile = 8;                 ///< T
  int batch = 0;                ///< images that one run holds: slots / (G T^2)
  std::vector<Tensor> tensors;  ///< tensors[0] is the input, the last step's output the scores
  std::vector<Step> steps;
  std::optional<bootstrap::RefreshSpec> refresh;  ///< of the steps that bootstrap, if any
  ckks::KeyRequest keys;
  Interface io;
  Prediction prediction;
  std::vector<Probe> probes;  ///< by tensor; sums that come back beside the scores
  double score_bound = 0;     ///< largest |score| that is no surprise; 0: unknown
  std::string id;             ///< BLAKE2b of everything that key, input and output depend on (see plan_id)

  [[nodiscard]] const Tensor& input() const { return tensors.front(); }
  [[nodiscard]] const Tensor& output() const { return tensors[static_cast<std::size_t>(steps.back().output)]; }
  /// G, channels per ciphertext.
  [[nodiscard]] int group() const { return input().layout.group; }
  /// Slots of one image in a ciphertext: masks and weights repeat with this period.
  [[nodiscard]] int period() const { return tile * tile * group(); }
};

/// The number by which a sum is divided: the product of levels_taken() primes.
double level_modulus(const Plan& plan, const Step& step, const std::vector<std::uint64_t>& primes);

/// Ciphertexts that a run bootstraps.
int bootstraps(const Plan& plan);

/// Limbs that a step takes from its sum to its output; 0 for a refresh.
int levels_taken(const Plan& plan, const Step& step);

}  // namespace sotto::plan
