#include "training/loss.h"

#include <cmath>

namespace sotto::training {

namespace {

// exp(z) is taken as (1 + z / 2^r)^(2^r): never below zero, rising from z = -2^r on, and, of all values, right at
// zero, where scores that say nothing begin.
constexpr int kSquarings = 3;
constexpr double kPower = 1 << kSquarings;

constexpr double kMostSquaredError = 1e6;  // what folded in a bootstrap is far larger
constexpr double kMostSoftmaxLoss = 32;    // "probabilities" up to 8: bases from -1.3 to 1.3

// Of scores of zero, so that they stand for equal probabilities. Roots are rounded alike everywhere, powers are not.
double base_of_zero(int classes) {
  double base = 1.0 / classes;
  for (int k = 0; k < kSquarings; ++k) base = std::sqrt(base);
  return base;
}

// The probabilities that scores stand for.
int add_softmax(StepBuilder& b) {
  const int scores = b.step.scores;
  int value = b.affine("softmax.base", {scores}, {1 / kPower}, base_of_zero(b.step.value(scores).shape.channels));
  for (int k = 0; k < kSquarings; ++k)
    value = b.add(Op::Kind::square, {value}, b.like(k + 1 < kSquarings ? "softmax.square" : "softmax", value));
  return value;
}

}  // namespace

int add_error(StepBuilder& builder, Spec::Loss loss) {
  const int found = loss == Spec::Loss::softmax ? add_softmax(builder) : builder.step.scores;
  return builder.affine("error", {found, builder.step.labels}, {1, -1});
}

double absent_label(Spec::Loss loss, int classes) { return loss == Spec::Loss::softmax ? 1.0 / classes : 0; }

double most_loss(Spec::Loss loss) { return loss == Spec::Loss::softmax ? kMostSoftmaxLoss : kMostSquaredError; }

}  // namespace sotto::training
