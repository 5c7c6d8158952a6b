#pragma once

#include <vector>

#include "graph/network.h"

namespace sotto::compiler {

/// A pool as a convolution of every channel by itself with equal weights.
struct PoolAsConvolution {
  graph::Conv2d convolution;
  std::vector<double> map;  ///< a factor for every output pixel: along the border fewer pixels count; empty: 1
};

PoolAsConvolution as_convolution(const graph::AveragePool& p, const graph::Shape& in, const graph::Shape& out);

}  // namespace sotto::compiler
