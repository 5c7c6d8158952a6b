#include "training/step_builder.h"

#include <utility>

namespace sotto::training {

int StepBuilder::add_value(Value value) {
  step.values.push_back(std::move(value));
  return static_cast<int>(step.values.size()) - 1;
}

int StepBuilder::add(Op::Kind kind, std::vector<int> inputs, Value output, Window window) {
  const int made = add_value(std::move(output));
  step.ops.push_back({.kind = kind, .output = made, .inputs = std::move(inputs), .window = window});
  return made;
}

int StepBuilder::affine(const std::string& name, std::vector<int> inputs, std::vector<double> factors, double shift) {
  const Value output = like(name, inputs.front());
  const int made = add(Op::Kind::affine, std::move(inputs), output);
  step.ops.back().factors = std::move(factors);
  step.ops.back().shift = shift;
  return made;
}

Value StepBuilder::like(const std::string& name, int value) const {
  Value v = step.value(value);
  v.name = name;
  return v;
}

int StepBuilder::add_constant(Value value, std::vector<double> numbers) {
  const int made = add_value(std::move(value));
  step.constants.push_back({made, std::move(numbers)});
  return made;
}

int StepBuilder::add_parameter(const std::string& layer, bool bias, Value value, std::vector<double> initial) {
  const int made = add_value(std::move(value));
  step.parameters.push_back(
      {.layer = layer, .bias = bias, .value = made, .gradient = -1, .initial = std::move(initial)});
  return made;
}

}  // namespace sotto::training
