#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

#include "support/network_builder.h"

namespace sotto::test {

/// a x^2 + b x + c, written as exporters do: ((a x + b) x) + c. Returns the last node.
inline int quadratic(NetworkBuilder& b, int x, double square, double linear, double constant = 0) {
  const auto affine = [&](int v, double scale, double shift) {
    const int node = b.affine(v);
    auto& op = std::get<graph::ChannelAffine>(b.network.nodes.back().op);
    std::ranges::fill(op.scale, scale);
    std::ranges::fill(op.shift, shift);
    return node;
  };
  return affine(b.product(affine(x, square, linear), x), 1, constant);
}

/// Two convolutions with quadratics, and a dense layer.
inline graph::Network small_lenet() {
  NetworkBuilder b({1, 12, 12}, 1);
  const int first = quadratic(b, b.conv(0, 2, 5, 2, 2), 0.25, 0.5);
  b.dense(b.flatten(quadratic(b, b.conv(first, 3, 5, 2, 2), 0.25, 0.5)), 4);
  return b.network;
}

/// Images of so many numbers, normal with deviation 1; always the same.
inline std::vector<std::vector<double>> random_images(std::size_t count, std::size_t size) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> images(count, std::vector<double>(size));
  for (auto& image : images)
    for (double& v : image) v = normal(random);
  return images;
}

}  // namespace sotto::test
