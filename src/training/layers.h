#pragma once

#include <optional>
#include <set>
#include <vector>

#include "graph/network.h"
#include "training/spec.h"
#include "training/step.h"

namespace sotto::training {

/// Whether a node is a layer with weights: a convolution or a dense layer.
bool has_weights(const graph::Node& node);

/// The node that holds the biases of a layer: the layer itself or, if its own are zero, a node that adds numbers to its
/// values and alone reads them, as exporters write x W + b.
int bias_node(const graph::Network& network, int layer);

/// The weights of a layer, or the biases of a node that bias_node gives.
std::vector<double>& numbers_of(graph::Node& node, bool bias);

/// Indices of the layers that a spec trains: a new head and those that it names, or all. Throws Error{bad_input} for
/// names that no layer has, two layers of one name, or a network without layers.
std::set<int> layers_to_train(const graph::Network& network, const Spec& spec);

/// Throws Error{bad_input} unless a spec trains a single layer, a dense one: what normal equations are for.
void require_one_dense_layer(const graph::Network& network, const Spec& spec);

/// Whether the network that a spec trains has its features joined (training/map_features.h): where there are adapters.
bool has_joined_features(const Spec& spec);

/// The node whose value is all that the layers to be trained see of an image, its features: what lies before it, the
/// body, stays as it is and runs once for every image, as inference does. Nothing unless they are joined, or the first
/// of these layers is a dense one behind layers with weights, and all that follows hangs on it alone.
std::optional<int> features_of(const graph::Network& network, const Spec& spec);

/// What features are shifted and divided by, so that all are of one size: weights behind them then learn at one rate.
struct Standard {
  std::vector<double> mean, deviation;  ///< by feature, or by channel of a map; deviations are positive
};

/// Means and deviations of features [image][feature]; a deviation of 1 for those that are the same on all images.
Standard standard_of(const std::vector<std::vector<double>>& features);

/// The network up to its features, standardised.
graph::Network body_of(graph::Network network, int features, const Standard& standard);

/// How so many features lie on a map with sides of at most `side`: few channels, every pixel in use.
Shape shape_of_features(int count, int side);

/// The network behind its features, which, standardised, are its images: a map of this shape, read row by row. The
/// layer that reads them has weights that make up for that.
graph::Network head_of(const graph::Network& network, int features, const Shape& shape, const Standard& standard);

/// Weights of a step of such a network, by parameter, as weights of the network that it is a part of.
std::vector<std::vector<double>> without_standard(const Step& step, std::vector<std::vector<double>> weights,
                                                  const Standard& standard);

}  // namespace sotto::training
