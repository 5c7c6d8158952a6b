#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sotto::training {

/// From a step on, the rate is multiplied by a factor.
struct RateChange {
  int step = 0;
  double factor = 1;
};

/// A path of few channels beside a convolution that stays as it is: up(down(x)), added to what it makes of x.
struct Adapter {
  std::string layer;  ///< name of the convolution
  int rank = 0;       ///< channels in between
};

/// What is trained and how: the contents of SPEC.toml (docs/formats/training-spec.md).
struct Spec {
  /// squared_error: half the squared difference between scores and labels. softmax: the sum of exp(z) over all scores
  /// less z of the right one (z: a score less a constant), which is least where exp(z) are the classes' probabilities;
  /// exp is a polynomial.
  enum class Loss { squared_error, softmax };
  std::vector<std::string> layers;  ///< names of the network's nodes that are trained; empty: all with weights
  std::vector<Adapter> adapters;    ///< trained, too; with them and no `layers` nothing else is, but a new head
  int new_head = 0;  ///< classes of a new last layer, with weights of zero, in place of the network's; 0: none
  Loss loss = Loss::squared_error;
  /// sgd: gradient descent, step by step. normal_equations: the best weights at once; a step adds up what these are
  /// computed from (training/moments.h), for one dense layer and the squared error. What is said below about the rest
  /// of the optimiser, the schedule and the range is sgd's.
  enum class Optimiser { sgd, normal_equations };
  Optimiser optimiser = Optimiser::sgd;
  double ridge = 0.001;  ///< of normal equations: times the squared weights, added to the mean squared error
  double rate = 0.1;     ///< learning rate
  double momentum = 0;   ///< 0 .. 1
  bool nesterov = false;
  double weight_decay = 0;           ///< times weights, added to their gradients
  std::vector<RateChange> schedule;  ///< by step, ascending
  int batch = 0;                     ///< images per step
  int steps = 0;
  double range = 4;        ///< largest magnitude that weights and velocities may reach
  std::uint64_t seed = 0;  ///< of the order of images
};

/// Reads a file. Throws Error{bad_input} that names what is wrong with which key; keys that are unknown are errors.
Spec read_spec(const std::filesystem::path& path);

/// The same from its text; `name` is what errors call it.
Spec parse_spec(const std::string& toml, const std::string& name);

/// Throws Error{bad_input} unless every field is in range.
void verify(const Spec& spec);

}  // namespace sotto::training
