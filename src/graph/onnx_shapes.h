#pragma once

#include <vector>

#include "graph/onnx_node.h"

namespace sotto::graph {

/// Number of elements; throws Error{bad_input} naming the node if that is negative or more than `most`.
std::size_t count_of(const OnnxNode& n, const Dims& dims, std::size_t most);

/// For every element of `dims`, row-major, its place in memory: base + index * strides. All places must be >= 0.
std::vector<std::size_t> places(const Dims& dims, const Dims& strides, std::int64_t base = 0);
/// Strides of a row-major tensor.
Dims strides_of(const Dims& dims);
/// Strides that read a tensor of shape `from` as one of shape `to`, repeating it along axes of size 1. Throws
/// Error{bad_input} naming the node if it does not broadcast to `to`.
Dims broadcast_strides(const OnnxNode& n, const Dims& from, const Dims& to);
/// The shape that two tensors broadcast to.
Dims broadcast_shape(const OnnxNode& n, const Dims& a, const Dims& b);

/// All elements of a constant, which must be integers. nullptr: empty. Throws Error{bad_input} if one is the free batch
/// size.
Dims integers_of(const OnnxNode& n, const Constant* c);
/// All elements of a constant as reals; the same errors.
std::vector<double> reals_of(const OnnxNode& n, const Constant& c);

/// The axes of a node, from the input (newer operator sets) or the attribute "axes", counted from the front, sorted.
/// Empty: none are given.
Dims axes_of(const OnnxNode& n, const Constant* input, std::size_t rank);

/// What a Shape node makes of these dimensions.
Constant shape_part(const OnnxNode& n, const std::vector<Integer>& dims);

/// Part of an axis: start, start + step, ..; `count` of them.
struct Run {
  std::int64_t axis, start, step, count;
};
/// The parts that a Slice node keeps. inputs: the node's, of which 1 to 4 are constants (or nullptr if left out). The
/// size of an axis is nullopt if it is the free batch size; such an axis must be kept whole and is not listed.
std::vector<Run> slices_of(const OnnxNode& n, const std::vector<Integer>& dims,
                           const std::vector<const Constant*>& inputs);
/// The parts of a Split or SplitToSequence node along its axis, of this size.
std::vector<Run> split_of(const OnnxNode& n, std::int64_t axis, std::int64_t size, const Constant* sizes);
/// The order of axes of a Transpose node.
Dims permutation_of(const OnnxNode& n, std::size_t rank);

}  // namespace sotto::graph
