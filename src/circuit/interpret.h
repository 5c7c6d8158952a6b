#pragma once

#include <functional>
#include <span>
#include <vector>

#include "circuit/circuit.h"

namespace sotto::circuit {

/// What interpretations look at: the ops and shapes of a circuit, or of a plan, which is a circuit with more to it.
/// What it was made from must outlive it.
struct View {
  std::vector<const Shape*> values;
  std::vector<const Op*> ops;

  View() = default;
  View(const Circuit& circuit);  // NOLINT(google-explicit-constructor): a circuit is one
};

/// Where others look into an interpretation or change its values; each may be empty.
struct Hooks {
  std::function<void(std::vector<double>&)> input;  ///< the image
  std::function<void(int op, std::vector<double>&)>
      sum;  ///< an op's sum before the square, or the (first) copied value
  std::function<void(int op, std::vector<double>&)> result;  ///< an op's result
};

/// The float64 interpretation for one image (preprocessed, [c][h][w]): the scores. The oracle of the encrypted
/// interpretation, and checked itself against the network that the circuit came from.
std::vector<double> interpret(const View& circuit, std::span<const double> image, const Hooks& hooks);

/// observe(value index, numbers [c][h][w]) is called for every value if given.
std::vector<double> interpret(const View& circuit, std::span<const double> image,
                              const std::function<void(int, std::span<const double>)>& observe = {});

}  // namespace sotto::circuit
