#pragma once

#include <optional>
#include <span>
#include <vector>

#include "training/example.h"
#include "training/step.h"

namespace sotto::training {

/// What the normal equations of a dense layer are made of: sums over images of products of features (numbers that the
/// layer reads) and labels. Of one size for any number of images.
struct Moments {
  std::size_t features = 0, classes = 0;
  std::vector<double> squares;   ///< [feature][feature], symmetric
  std::vector<double> products;  ///< [class][feature]: sums of the features of a class
  std::vector<double> counts;    ///< [class]: images

  [[nodiscard]] double images() const;
};

/// Of no images.
Moments no_moments(const Step& step);

/// Of examples as the step sees them. Throws Error{bad_input} for one that does not fit the step.
Moments moments_of(const Step& step, std::span<const Example* const> examples);

/// sum + factor * other, of one size.
Moments added(Moments sum, const Moments& other, double factor);

/// Throws Error{bad_input} unless a step trains one dense layer alone that reads the images as they are and gives the
/// scores.
void require_dense_layer(const Step& step);

/// Weights and biases, by parameter of the step, with the least mean squared error of the scores plus ridge times the
/// squared weights: Cholesky, in float64. Nothing if the moments are not those of any images, as when they folded, or
/// the ridge is too small beside their errors.
std::optional<std::vector<std::vector<double>>> solve(const Moments& moments, double ridge);

/// By how much the weights and biases of solve() differ from those of exact sums, as a part of their norm, if all sums
/// err by `deviation`: tried on drawn errors, in float64. Infinite if sums that err so may have no solution.
double weight_error(const Moments& moments, double ridge, double deviation);

/// Mean over the images of half the summed squared errors of the scores that these weights make.
double loss_of(const Moments& moments, const std::vector<std::vector<double>>& weights);

}  // namespace sotto::training
