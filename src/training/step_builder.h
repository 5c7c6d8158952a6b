#pragma once

#include <string>
#include <vector>

#include "training/step.h"

namespace sotto::training {

/// Puts a step together, op by op. Every method that adds an op returns the index of the value that it makes.
class StepBuilder {
 public:
  Step step;

  /// A value that no op makes: an input of the step.
  int add_value(Value value);
  int add(Op::Kind kind, std::vector<int> inputs, Value output, Window window = {});
  /// shift + sum of factors[i] * inputs[i]; the result looks like the first input.
  int affine(const std::string& name, std::vector<int> inputs, std::vector<double> factors, double shift = 0);
  /// A value that looks like another.
  [[nodiscard]] Value like(const std::string& name, int value) const;

  /// Adds weights that are not trained, and the value that stands for them.
  int add_constant(Value value, std::vector<double> numbers);
  /// Adds trained weights, and the value that stands for them.
  int add_parameter(const std::string& layer, bool bias, Value value, std::vector<double> initial);
};

}  // namespace sotto::training
