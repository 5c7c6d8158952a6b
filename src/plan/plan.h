#pragma once

#include <string>
#include <vector>

#include "ckks/eval_key.h"
#include "ckks/parameters.h"

namespace sotto::plan {

/// How the pixels of a feature map lie in ciphertexts.
///
/// A ciphertext holds, for one channel, a tile of T x T positions for every image of the batch: slot image * T^2 + ty *
/// T + tx. Pixel (y, x) has canvas coordinates (y * gap, x * gap); canvas coordinate Y belongs to phase Y mod P at tile
/// position Y / P. So P * P ciphertexts make a channel, and neighbours lie in other ciphertexts or one tile position
/// away.
struct Layout {
  int channels = 0, height = 0, width = 0;
  int phases = 1;  ///< P, a power of two
  int gap = 1;     ///< 1 unless P is 1 and strides went on

  [[nodiscard]] int ciphertexts() const { return channels * phases * phases; }
  bool operator==(const Layout&) const = default;
};

/// An encrypted feature map.
struct Tensor {
  std::string name;
  Layout layout;
  int limbs = 0;
  double scale = 1;  ///< ciphertext slots hold value * scale
};

/// A linear map from one tensor, one summand of a step.
struct Term {
  enum class Kind {
    convolution,  ///< weights [out][in][kernel_h][kernel_w]
    full,         ///< weights [out][in][height][width], summed over all pixels: output is 1 x 1
  };
  Kind kind = Kind::convolution;
  int source = 0;  ///< index into Plan::tensors
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  std::vector<double> weights;
};

/// One step of a plan: output = sum of terms + bias, then squared or not, then divided by the last prime.
struct Step {
  enum class Finish {
    square,   ///< square, relinearise, rescale: one limb less
    rescale,  ///< rescale only: one limb less
    keep,     ///< nothing: the last layer
  };
  std::string name;
  int output = 0;  ///< index into Plan::tensors
  std::vector<Term> terms;
  std::vector<double>
      bias;  ///< one value per channel, or one per channel and pixel (zero padding makes borders differ)
  Finish finish = Finish::square;
  int limbs = 0;     ///< limbs at which the terms are added
  double scale = 1;  ///< scale of that sum
};

/// How images become the input tensor and scores come back.
struct Interface {
  int channels = 0, height = 0, width = 0;
  std::vector<double> mean, std;     ///< per channel, in units of pixel / 255
  std::vector<std::string> classes;  ///< may be empty
  int outputs = 0;
};

/// Everything that a server needs to run a network on encrypted images, and in `client_part` what the client needs.
///
/// A plan is data: a list of steps over tensors, with levels and scales fixed. It is interpreted in float64
/// (plan/interpret.h), as cost (plan/cost.h) and on ciphertexts (runtime/executor.h).
struct Plan {
  std::string network;  ///< name of the model file
  ckks::ParametersSpec parameters;
  int tile = 8;                 ///< T
  int batch = 0;                ///< images that one run holds: slots / T^2
  std::vector<Tensor> tensors;  ///< tensors[0] is the input, the last step's output the scores
  std::vector<Step> steps;
  ckks::KeyRequest keys;
  Interface io;
  std::string id;  ///< BLAKE2b of everything that key, input and output depend on (see plan_id)

  [[nodiscard]] const Tensor& input() const { return tensors.front(); }
  [[nodiscard]] const Tensor& output() const { return tensors[static_cast<std::size_t>(steps.back().output)]; }
};

/// Checks a plan as one that came from a file: indices, sizes, levels and scales that fit each other, keys that
/// suffice. Throws Error{bad_input}.
void verify(const Plan& plan);

/// The parts of `verify` that a client checks, too: layout of images and scores, and the key list.
void verify_interface(const ckks::ParametersSpec& parameters, int tile, int batch, const Tensor& input,
                      const Interface& io);
void verify_keys(const ckks::ParametersSpec& parameters, const ckks::KeyRequest& keys);

/// A readable table: one line per step with layer, ciphertexts, level, scale, taps and rotations.
std::string describe(const Plan& plan);

/// Identity of a plan for keys, inputs and outputs: hash of parameters, layout, key request, interface and weights.
std::string plan_id(const Plan& plan);

}  // namespace sotto::plan
