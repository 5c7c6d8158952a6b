#include "training/differentiate.h"

#include <utility>

#include "base/error.h"
#include "training/forward.h"
#include "training/loss.h"
#include "training/step_builder.h"

namespace sotto::training {

namespace {

using Kind = Op::Kind;

// What a reader of a value adds to the value's gradient.
struct Part {
  int value = 0;
  double factor = 1;
};

// Walks the ops of a step backwards and adds those that make the gradients, in reverse mode.
class Backward {
 public:
  explicit Backward(StepBuilder& builder) : b_(builder), depends_(b_.step.values.size()), parts_(depends_.size()) {
    for (const Parameter& p : b_.step.parameters) depends_[index(p.value)] = true;
    makers_.assign(depends_.size(), -1);
    for (std::size_t k = 0; k < b_.step.ops.size(); ++k) {
      const Op& op = b_.step.ops[k];
      makers_[index(op.output)] = static_cast<int>(k);
      for (int i : op.inputs)
        if (depends_[index(i)]) depends_[index(op.output)] = true;
    }
  }

  void run() {
    parts_[index(b_.step.scores)].push_back({b_.step.error});
    for (std::size_t k = makers_.size(); k-- > 0;)
      if (makers_[k] >= 0 && depends_[k] && !parts_[k].empty()) back(b_.step.ops[index(makers_[k])]);
    for (Parameter& p : b_.step.parameters) {
      check(parts_[index(p.value)].size() == 1, "weights have one reader");
      p.gradient = parts_[index(p.value)].front().value;
    }
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  // The parts as few as possible: one.
  Part joined(int value) {
    std::vector<Part>& parts = parts_[index(value)];
    if (parts.size() == 1) return parts.front();
    std::vector<int> inputs;
    std::vector<double> factors;
    for (const Part& p : parts) inputs.push_back(p.value), factors.push_back(p.factor);
    return {b_.affine(gradient_name(value), std::move(inputs), std::move(factors))};
  }

  int gradient(int value) {
    const Part part = joined(value);
    return part.factor == 1 ? part.value : b_.affine(gradient_name(value), {part.value}, {part.factor});
  }

  [[nodiscard]] std::string gradient_name(int value) const { return b_.step.value(value).name + ".gradient"; }
  [[nodiscard]] Value gradient_of(int value) const { return b_.like(gradient_name(value), value); }

  void give(int input, Kind kind, std::vector<int> operands, Window window = {}) {
    if (depends_[index(input)])
      parts_[index(input)].push_back({b_.add(kind, std::move(operands), gradient_of(input), window)});
  }

  // By value: the ops that are added may move those of the step.
  void back(Op op) {
    switch (op.kind) {
      case Kind::affine: {
        const Part part = joined(op.output);
        for (std::size_t i = 0; i < op.inputs.size(); ++i)
          if (depends_[index(op.inputs[i])])
            parts_[index(op.inputs[i])].push_back({part.value, part.factor * op.factors[i]});
        return;
      }
      case Kind::square:
        return back_square(op);
      case Kind::convolve: {
        const int g = gradient(op.output);
        give(op.inputs[1], Kind::convolve_weights, {op.inputs[0], g}, op.window);
        return give(op.inputs[0], Kind::convolve_transposed, {g, op.inputs[1]}, op.window);
      }
      case Kind::contract: {
        const int g = gradient(op.output);
        give(op.inputs[1], Kind::contract_weights, {op.inputs[0], g});
        return give(op.inputs[0], Kind::contract_transposed, {g, op.inputs[1]});
      }
      case Kind::add_bias: {
        const int g = gradient(op.output);
        give(op.inputs[1], Kind::sum_pixels, {g});
        if (depends_[index(op.inputs[0])]) parts_[index(op.inputs[0])].push_back({g});
        return;
      }
      case Kind::pool:
        return give(op.inputs[0], Kind::pool_transposed, {gradient(op.output)}, op.window);
      case Kind::mean:
        if (!depends_[index(op.inputs[0])]) return;
        give(op.inputs[0], Kind::mean_transposed, {gradient(op.output)});
        b_.step.ops.back().like = op.inputs[0];
        return;
      default:
        internal_error("an op that no network has forwards");
    }
  }

  // (f (x + s))^2 has the slope 2 f^2 x + 2 f^2 s: the gradient is multiplied by one affine of the value that the
  // network has there, and all constant factors go into it.
  void back_square(const Op& op) {
    const int base = op.inputs[0];
    const Part part = joined(op.output);
    int source = base;
    double factor = 1, shift = 0;
    if (const int k = makers_[index(base)]; k >= 0) {
      const Op& maker = b_.step.ops[index(k)];
      if (maker.kind == Kind::affine && maker.inputs.size() == 1)
        source = maker.inputs[0], factor = maker.factors[0], shift = maker.shift;
    }
    // The gradient goes straight to `source`, past the affine in between.
    const double outer = 2 * part.factor * (source == base ? 1 : factor);
    const int slope = b_.affine(b_.step.value(op.output).name + ".slope", {source}, {outer * factor}, outer * shift);
    give(source, Kind::product, {part.value, slope});
  }

  StepBuilder& b_;
  std::vector<bool> depends_;             // by value of the forward pass: on something that is trained
  std::vector<std::vector<Part>> parts_;  // of its gradient
  std::vector<int> makers_;               // the op that makes it, or -1
};

}  // namespace

Step differentiate(const graph::Network& network, const Spec& spec) {
  StepBuilder b = forward(network, spec);
  b.step.labels = b.add_value(b.like("labels", b.step.scores));
  Backward backward(b);  // of what is there so far: the network forwards
  b.step.error = add_error(b, spec.loss);
  backward.run();
  return std::move(b.step);
}

}  // namespace sotto::training
