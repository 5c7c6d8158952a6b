#pragma once

#include <span>
#include <string>
#include <vector>

#include "sotto/io.h"

namespace sotto::graph {

/// Weights that a model gets in place of its own.
struct NewWeights {
  std::string node;            ///< of the network: a Conv2d, a Dense, or the ChannelAffine that adds a layer's biases
  bool bias = false;           ///< else the weights; a ChannelAffine has biases only
  std::vector<double> values;  ///< as the network's node has them
};

/// Writes the model of a file with other weights, in float32; the rest stays as it is, but for constants that nobody
/// reads any more, and data from other files, which become part of the new one. A layer without biases gets some. If
/// the last node is a Dense, it may get another number of outputs; names of classes are dropped then. The file (or what
/// else the sink is) appears when it is complete.
///
/// What was written is what the network then has: it is imported again and compared. Throws Error{bad_input} that names
/// the node for what cannot be written back: nodes in functions, layers whose weights the import changes, weights that
/// are not float32.
void write_onnx(const Source& model, const Sink& sink, std::span<const NewWeights> weights);

/// Throws what write_onnx would throw for such weights, without writing anything. Returns the layers that would get
/// biases which they do not have in the model.
std::vector<std::string> check_writable(const Source& model, std::span<const NewWeights> weights);

/// Throws Error{bad_input} that names both nodes if another node reads what one of these weights is made of, too: a
/// training would give each its own. weights: as for write_onnx, of layers that are trained; numbers do not matter.
void require_unshared(const Source& model, std::span<const NewWeights> weights);

/// A model with its data from other files in it.
Bytes self_contained(const Source& model);

}  // namespace sotto::graph
