#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "graph/network.h"
#include "graph/onnx_file.h"
#include "graph/onnx_node.h"

namespace sotto::graph {

/// A value that depends on the image, as ONNX sees it: the elements of a node of the network, row-major, with other
/// dimensions. Reshapes change nothing else.
struct Value {
  int node = 0;
  Dims dims;                 ///< of one image: ONNX's dimensions without the batch in front
  bool integral = false;     ///< a raw input of integers, which no layer may read before it is cast
  std::string view = {};     ///< the ONNX node that gave it its dimensions, if another than the network's node
  std::string dropped = {};  ///< the Softmax or ArgMax node of which these are the inputs: only the output may be that
};

/// The network in the making: what is known of every name of the ONNX graph, and the nodes so far.
class Builder {
 public:
  /// The graph and the external data must outlive it. Initializers are read when they are first needed.
  Builder(const onnx::GraphProto& graph, const ExternalData& external);

  // The model's input and results.
  void set_input(const std::string& name, Shape shape, Value value, Integer batch);
  /// One of several inputs: a node that was made of the picture.
  void set_part(const std::string& name, Value value, Integer batch);
  [[nodiscard]] const Integer& batch() const { return batch_; }
  Network& network() { return network_; }
  [[nodiscard]] const Value* find_value(const std::string& name) const;
  void note(const std::string& text);

  // Operands. The errors name the node.
  /// A value that a layer may read.
  [[nodiscard]] const Value& value(const OnnxNode& n, int i) const;
  /// A value that may be one of integers.
  [[nodiscard]] const Value& raw_value(const OnnxNode& n, int i) const;
  /// Any value, also integers and the inputs of a dropped Softmax.
  [[nodiscard]] const Value& any_value(const OnnxNode& n, int i) const;
  /// nullptr if input i is left out or no constant.
  const Constant* find_constant(const OnnxNode& n, int i);
  const Constant& constant(const OnnxNode& n, int i);
  [[nodiscard]] const Shape& shape(int node) const { return network_.nodes[static_cast<std::size_t>(node)].shape; }

  // Results.
  void set_constant(const OnnxNode& n, int output, Constant c);
  /// The constant of input i under another name.
  void alias_constant(const OnnxNode& n, int i);
  void set_value(const OnnxNode& n, Value v, int output = 0);
  /// A list of values, of which nodes pick single ones.
  void set_sequence(const OnnxNode& n, std::vector<Value> values);
  [[nodiscard]] const std::vector<Value>& sequence(const OnnxNode& n, int i) const;
  /// Adds a node and returns its index.
  int add(const std::string& name, Op op, std::vector<int> inputs, Shape shape);
  /// Adds a node that keeps shape and dimensions of a value, and makes it the output.
  void set_like(const OnnxNode& n, Op op, std::vector<int> inputs, const Value& like);

  // Views of values as the network's nodes want them.
  /// A node of shape {k, 1, 1} with the elements of the value.
  int flat(const OnnxNode& n, const Value& v);
  /// The value's node, whose shape is the value's dimensions: [c, h, w] or [c, l] as {c, l, 1}.
  int map(const OnnxNode& n, const Value& v);
  /// Gives the input another shape of the same size. Only possible while every node treats all elements alike.
  bool reshape_input(const Shape& shape);
  /// Replaces a channels-last input by a channels-first one, as pictures are; false where that is not possible.
  bool turn_input(const Dims& dims);

 private:
  void define(const OnnxNode& n, const std::string& name) const;

  Network network_;
  Integer batch_;
  std::map<std::string, Value> values_;
  std::map<std::string, std::vector<Value>> sequences_;
  std::map<std::string, std::shared_ptr<const Constant>> constants_;
  std::map<std::string, const onnx::TensorProto*> initializers_;
  std::map<int, int> flat_;  // the flattened node of a node
  const ExternalData& external_;
  std::size_t held_ = 0;     // elements of the constants that were read
  std::size_t folded_ = 0;   // of those that were computed
  std::size_t weights_ = 0;  // numbers in the network's nodes
};

}  // namespace sotto::graph
