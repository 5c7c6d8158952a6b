#include "training/moments.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/normal_draws.h"

namespace sotto::training {

namespace {

using Values = std::vector<double>;

constexpr int kTrials = 8;
constexpr double kMostCountError = 0.05;  // of the images of a class, as a part of all

bool sound(const Moments& m) {
  const auto finite = [](const Values& list) {
    return std::ranges::all_of(list, [](double v) { return std::isfinite(v); });
  };
  return finite(m.squares) && finite(m.products) && m.images() > 0 && std::isfinite(m.images()) &&
         std::ranges::all_of(m.counts, [&](double c) { return c > -kMostCountError * m.images(); });
}

// The lower triangle L with L L^T = a, in place of a's; false if a is not positive definite.
bool factorise(Values& a, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      const double sum = std::inner_product(a.data() + i * n, a.data() + i * n + j, a.data() + j * n, 0.0);
      a[i * n + j] -= sum;
      if (i != j) a[i * n + j] /= a[j * n + j];
      if (i == j && !(a[j * n + j] > 0)) return false;
      if (i == j) a[j * n + j] = std::sqrt(a[j * n + j]);
    }
  }
  return true;
}

// x with L L^T x = b, in place of b.
void substitute(const Values& l, std::size_t n, double* b) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= l[i * n + k] * b[k];
    b[i] /= l[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= l[k * n + i] * b[k];
    b[i] /= l[i * n + i];
  }
}

// Means of features over all images: every image is of one class.
Values means_of(const Moments& m) {
  Values means(m.features);
  for (std::size_t i = 0; i < m.products.size(); ++i) means[i % m.features] += m.products[i] / m.images();
  return means;
}

}  // namespace

double Moments::images() const { return std::accumulate(counts.begin(), counts.end(), 0.0); }

Moments no_moments(const Step& step) {
  const std::size_t features = step.value(step.images).size(), classes = step.value(step.labels).size();
  return {features, classes, Values(features * features), Values(classes * features), Values(classes)};
}

Moments moments_of(const Step& step, std::span<const Example* const> examples) {
  Moments m = no_moments(step);
  for (const Example* e : examples) {
    check_example(step, *e);
    const auto label = static_cast<std::size_t>(e->label);
    for (std::size_t i = 0; i < m.features; ++i) {
      m.products[label * m.features + i] += e->image[i];
      for (std::size_t j = 0; j < m.features; ++j) m.squares[i * m.features + j] += e->image[i] * e->image[j];
    }
    ++m.counts[label];
  }
  return m;
}

Moments added(Moments sum, const Moments& other, double factor) {
  const auto add = [&](Values& to, const Values& from) {
    check(to.size() == from.size(), "moments of different sizes");
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
  };
  add(sum.squares, other.squares);
  add(sum.products, other.products);
  add(sum.counts, other.counts);
  return sum;
}

void require_dense_layer(const Step& step) {
  const bool dense = step.parameters.size() == 2 && step.constants.empty() && step.ops.size() >= 2 &&
                     step.ops[0].kind == Op::Kind::contract && step.ops[0].inputs[0] == step.images &&
                     step.ops[1].kind == Op::Kind::add_bias && step.ops[1].inputs[0] == step.ops[0].output &&
                     step.ops[1].output == step.scores;
  if (!dense)
    throw Error(ErrorCode::bad_input,
                "normal equations train a dense layer that gives the scores, and nothing else: name it in layers, or "
                "train with sgd");
}

// With features less their means the biases fall out: b = count / images - W mean.
std::optional<std::vector<Values>> solve(const Moments& m, double ridge) {
  if (!sound(m)) return std::nullopt;
  const std::size_t n = m.features;
  const Values means = means_of(m);
  Values covariance(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) covariance[i * n + j] = m.squares[i * n + j] / m.images() - means[i] * means[j];
    covariance[i * n + i] += ridge;
  }
  if (!factorise(covariance, n)) return std::nullopt;
  Values weights(m.classes * n), biases(m.classes);
  for (std::size_t k = 0; k < m.classes; ++k) {
    double* w = weights.data() + k * n;
    for (std::size_t i = 0; i < n; ++i) w[i] = (m.products[k * n + i] - m.counts[k] * means[i]) / m.images();
    substitute(covariance, n, w);
    biases[k] = m.counts[k] / m.images() - std::inner_product(w, w + n, means.data(), 0.0);
  }
  return std::vector<Values>{std::move(weights), std::move(biases)};
}

namespace {

// Sums that err by this deviation.
Moments disturbed(Moments m, double deviation, std::uint64_t seed) {
  NormalDraws draw(seed);
  for (std::size_t i = 0; i < m.features; ++i)
    for (std::size_t j = 0; j <= i; ++j)
      m.squares[j * m.features + i] = m.squares[i * m.features + j] += deviation * draw();
  for (Values* list : {&m.products, &m.counts})
    for (double& v : *list) v += deviation * draw();
  return m;
}

}  // namespace

double weight_error(const Moments& m, double ridge, double deviation) {
  const auto solution = solve(m, ridge);
  if (!solution || !std::isfinite(deviation)) return HUGE_VAL;
  double norm = 0, change = 0;
  for (const Values& list : *solution)
    for (double v : list) norm += v * v;
  for (int t = 0; t < kTrials; ++t) {
    const auto other = solve(disturbed(m, deviation, static_cast<std::uint64_t>(t)), ridge);
    if (!other) return HUGE_VAL;
    for (std::size_t p = 0; p < solution->size(); ++p)
      for (std::size_t i = 0; i < (*solution)[p].size(); ++i)
        change += std::pow((*other)[p][i] - (*solution)[p][i], 2) / kTrials;
  }
  return norm > 0 ? std::sqrt(change / norm) : 0;
}

// (w x + b - y)^2 multiplied out, class by class.
double loss_of(const Moments& m, const std::vector<Values>& weights) {
  const std::size_t n = m.features;
  const Values means = means_of(m);
  double sum = 0;
  for (std::size_t k = 0; k < m.classes; ++k) {
    const double* w = weights[0].data() + k * n;
    const double b = weights[1][k];
    double square = 0;
    for (std::size_t i = 0; i < n; ++i)
      square += w[i] * std::inner_product(w, w + n, m.squares.data() + i * n, 0.0) / m.images();
    const double mean = std::inner_product(w, w + n, means.data(), 0.0);
    const double right = std::inner_product(w, w + n, m.products.data() + k * n, 0.0) / m.images();
    const double part = m.counts[k] / m.images();
    sum += square + 2 * b * mean + b * b - 2 * right - 2 * b * part + part;
  }
  return sum / 2;
}

}  // namespace sotto::training
