#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bootstrap/bootstrap_spec.h"
#include "circuit/interpret.h"
#include "ckks/eval_key.h"
#include "ckks/parameters.h"
#include "packing/layout.h"
#include "plan/watch.h"
#include "signing/verification_key.h"

namespace sotto::plan {

using circuit::Activation;
using circuit::Block;
using circuit::Op;
using circuit::Term;
using packing::Axes;
using packing::kMaxGroup;
using packing::kMostPhases;
using packing::Layout;
using packing::Place;
using packing::place_of;
using Kind = circuit::Op::Kind;

/// Second moments of a feature map's values over calibration images, as the map lies in slots: how weights that read it
/// are rounded best (plan/rounding.h). Empty if unknown.
struct Moments {
  std::vector<double> channels;    ///< [c][c]: mean over images and pixels of the products of two channels
  int reach = 0;                   ///< farthest pixels whose products were measured, in each direction
  std::vector<double> neighbours;  ///< [dy 0 .. reach][dx -reach .. reach]: such means over the one for (0, 0)

  /// Of pixels that lie (dy, dx) apart; `otherwise` beyond the reach.
  [[nodiscard]] double correlation(int dy, int dx, double otherwise) const;
};

/// Whole primes by whose bits a sum, or its square, is divided at once.
inline constexpr int kMostDivided = 2;

/// An encrypted feature map.
struct Tensor {
  std::string name;
  Layout layout;
  ckks::Level level;
  double scale = 1;  ///< ciphertext slots hold value * scale
  Moments moments = {};
};

/// One step of a plan: an op at a level. Output = sum of terms + bias, then squared or not, divided before the square
/// or after it; or a function of one tensor or the product of two, slot by slot.
///
/// Divisions are sizes in units (ckks::units_of), 0 .. kMostDivided primes. Without small primes a unit is a prime.
struct Step : Op {
  ckks::Level level;    ///< at which the terms are added, or the tensor is copied
  double scale = 1;     ///< scale of that sum, or of the tensor
  int baby = 1;         ///< with groups: sources are rotated by 0 .. baby - 1 places, sums by multiples of baby
  int early = 0;        ///< division of the sum before it is squared
  int late = 1;         ///< division of the sum, square or product
  bool keep = false;    ///< of factors, which are not divided, and of the last layer, which need not be
  bool spread = false;  ///< of a factor with one pixel per channel: it goes to all positions of the tile
};

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
/// (circuit/interpret.h), as cost (plan/cost.h) and on ciphertexts (runtime/batch_run.h).
struct Plan {
  std::string network;  ///< name of the model file
  ckks::ParametersSpec parameters;
  Axes tile = 8;                ///< T
  int batch = 0;                ///< images that one run holds: slots / (G T.h T.w)
  std::vector<Tensor> tensors;  ///< tensors[0] is the input, the last step's output the scores
  std::vector<Step> steps;
  std::optional<bootstrap::BootstrapSpec> bootstrapping;  ///< of the steps that bootstrap, if any
  ckks::KeyRequest keys;
  Interface io;
  Prediction prediction;
  std::vector<Probe> probes;                            ///< by tensor; sums that come back beside the scores
  double score_bound = 0;                               ///< largest |score| that is no surprise; 0: unknown
  std::optional<signing::VerificationKey> signer = {};  ///< who must sign results, if anyone
  std::string id;  ///< BLAKE2b of everything that key, input and output depend on (see plan_id)

  [[nodiscard]] const Tensor& input() const { return tensors.front(); }
  [[nodiscard]] const Tensor& output() const { return tensors[static_cast<std::size_t>(steps.back().output)]; }
  /// G, channels per ciphertext.
  [[nodiscard]] int group() const { return input().layout.group; }
  /// Slots of one image in a ciphertext: masks and weights repeat with this period.
  [[nodiscard]] int period() const { return tile.area() * group(); }
};

/// A plan as a circuit, for interpretations in float64. The plan must outlive it.
circuit::View view(const Plan& plan);

/// Levels of a step whose sum has this level, by a plan's parameters.
struct StepLevels {
  ckks::Level sum, product, result;  ///< before the early division, between the two, after the late one

  StepLevels(const Step& step, const ckks::Level& of_sum, int small_primes);
};
StepLevels levels_of(const Plan& plan, const Step& step);

/// By how much a step's divisions divide a scale: the primes that leave over those that join.
struct Divisors {
  double early = 1, late = 1;

  /// primes: those of ckks::primes_of.
  Divisors(const StepLevels& levels, const std::vector<std::uint64_t>& primes);
};

/// The scale of the output of a sum or square whose sum has this scale, and the other way round.
double result_scale(const Step& step, const Divisors& by, double sum_scale);
double sum_scale(const Step& step, const Divisors& by, double result_scale);

/// Whether a plan has a step of this kind.
bool has(const Plan& plan, Kind kind);

/// Whether a step divides its sum, square or product: all but functions, bootstraps and factors. The last one can, too.
bool divides(const Plan& plan, const Step& step);

/// Ciphertexts that a run bootstraps.
int bootstraps(const Plan& plan);

/// Units that a step takes from its sum to its output: its divisions, or the depth of its function; 0 for a bootstrap.
int units_taken(const Step& step);

}  // namespace sotto::plan
