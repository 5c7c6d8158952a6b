#include "graph/onnx_weights.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "graph/onnx_constants.h"
#include "graph/onnx_file.h"
#include "graph/onnx_graph.h"
#include "graph/onnx_import.h"
#include "graph/onnx_node.h"
#include "wire/output.h"

namespace sotto::graph {

namespace {

constexpr const char* kClassesKey = "sotto.classes";
constexpr double kRounding = 1e-6;  // relative to the largest weight of a node

// The numbers of a network's node that are trained; nullptr if it has none of this sort.
const std::vector<double>* weights_of(const Node& n, bool bias) {
  if (const auto* c = std::get_if<Conv2d>(&n.op)) return bias ? &c->bias : &c->weights;
  if (const auto* d = std::get_if<Dense>(&n.op)) return bias ? &d->bias : &d->weights;
  if (const auto* a = std::get_if<ChannelAffine>(&n.op)) return bias ? &a->shift : nullptr;
  return nullptr;
}

const Node* find_node(const Network& network, const std::string& name, bool bias) {
  for (const Node& n : network.nodes)
    if (n.name == name && weights_of(n, bias) != nullptr) return &n;
  return nullptr;
}

// [rows][columns] as [columns][rows].
std::vector<double> transposed(const std::vector<double>& values, std::size_t rows) {
  const std::size_t columns = values.size() / rows;
  std::vector<double> out(values.size());
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  return out;
}

// Puts weights into a model, node by node.
class Writer {
 public:
  Writer(onnx::ModelProto& model, const Network& network, std::int64_t opset)
      : graph_(*model.mutable_graph()), constants_(graph_), network_(network), opset_(opset) {}

  // The network's node of the new model that has these weights now.
  std::string put(const NewWeights& w) {
    const Node* node = find_node(network_, w.node, w.bias);
    if (node == nullptr) fail(w, "the network has no such node with " + std::string(w.bias ? "biases" : "weights"));
    const auto* d = std::get_if<Dense>(&node->op);
    const bool last = d != nullptr && node == &network_.nodes.back();
    const std::size_t in = last && !w.bias ? static_cast<std::size_t>(d->in) : 1;  // weights of an output
    if (w.values.empty() || (last ? w.values.size() % in != 0 : weights_of(*node, w.bias)->size() != w.values.size()))
      fail(w, "wrong number of weights");
    const auto outputs = static_cast<std::int64_t>(w.values.size() / in);
    if (last && outputs != d->out) set_outputs(outputs);
    onnx::NodeProto& n = find(w);
    const OnnxNode read(n, opset_);
    const bool gemm = n.op_type() == "Gemm";
    if (d != nullptr && !w.bias) {
      const bool rows = gemm && read.integer("transB", 0) != 0;  // [out][in], as the network has them
      const std::int64_t out = last ? outputs : d->out;
      replace(w, n, 1, rows ? Dims{out, d->in} : Dims{d->in, out},
              scaled(rows ? w.values : transposed(w.values, static_cast<std::size_t>(out)),
                     gemm ? read.real("alpha", 1) : 1));
    } else if (const auto* c = std::get_if<Conv2d>(&node->op); c != nullptr && !w.bias) {
      Dims dims{c->out_c, c->in_c / c->groups, c->kernel_h, c->kernel_w};
      if (line(read)) dims.pop_back();
      replace(w, n, 1, dims, w.values);
    } else if (n.op_type() == "MatMul") {
      return add_bias(w, n);
    } else if (n.op_type() == "Add") {
      replace(w, n, constants_.knows(n.input(0)) ? 0 : 1, bias_dims(*node), w.values);
    } else {
      replace(w, n, 2, {static_cast<std::int64_t>(w.values.size())}, scaled(w.values, gemm ? read.real("beta", 1) : 1));
    }
    return w.node;
  }

  // Throws if another node reads what these weights are made of.
  void require_unshared(const NewWeights& w, const std::vector<const onnx::NodeProto*>& needed) {
    const onnx::NodeProto& n = find(w);
    const int at = !w.bias ? 1 : n.op_type() == "Add" ? (constants_.knows(n.input(0)) ? 0 : 1) : 2;
    if (at >= n.input_size() || (w.bias && n.op_type() == "MatMul")) return;
    const std::set<std::string> own = constants_.tensors_of(n.input(at));
    for (const onnx::NodeProto* other : needed) {
      if (other == &n || constants_.knows(other->output(0))) continue;
      for (const std::string& input : other->input())
        for (const std::string& tensor : constants_.tensors_of(input))
          if (own.contains(tensor))
            fail(w, "its " + std::string(w.bias ? "biases" : "weights") + ", the initializer '" +
                        readable_text(tensor) + "', are also read by node '" +
                        readable_text(OnnxNode(*other, opset_).name()) +
                        "', and cannot be trained for both: store a copy for each in the model, or leave the layer "
                        "as it is");
    }
  }

  // Layers that had no biases and got some.
  [[nodiscard]] const std::vector<std::string>& newly_biased() const { return newly_biased_; }

 private:
  [[noreturn]] static void fail(const NewWeights& w, const std::string& message) {
    throw Error(ErrorCode::bad_input, "node '" + readable_text(w.node) + "': " + message);
  }

  // Of the graph; shapes that nodes compute follow by themselves.
  void set_outputs(std::int64_t outputs) {
    graph_.clear_value_info();
    auto* shape = graph_.mutable_output(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
    if (shape->dim_size() > 0) shape->mutable_dim(shape->dim_size() - 1)->set_dim_value(outputs);
  }

  onnx::NodeProto& find(const NewWeights& w) {
    onnx::NodeProto* found = nullptr;
    for (auto& n : *graph_.mutable_node()) {
      if (readable_text(OnnxNode(n, opset_).name()) != w.node) continue;
      if (found != nullptr) fail(w, "the model has two nodes of this name, so its weights cannot be written back");
      found = &n;
    }
    if (found == nullptr) fail(w, "it lies in a function of the model, so its weights cannot be written back");
    const std::set<std::string> known{"Conv", "Gemm", "MatMul", "Add"};
    if (!known.contains(found->op_type())) fail(w, "weights of " + found->op_type() + " cannot be written back");
    return *found;
  }

  // Whether a convolution is one along a line: [out][in][kernel].
  [[nodiscard]] bool line(const OnnxNode& n) const {
    if (const auto shape = n.integers("kernel_shape")) return shape->size() == 1;
    return constants_.rank(n.input(1)) == std::size_t{3};
  }

  // Of biases that a node of their own adds to a vector, or to a map.
  [[nodiscard]] Dims bias_dims(const Node& node) const {
    const auto channels = static_cast<std::int64_t>(node.shape.c);
    const Node& layer = network_.nodes[static_cast<std::size_t>(node.inputs[0])];
    if (!std::holds_alternative<Conv2d>(layer.op)) return {channels};
    const auto conv = std::ranges::find_if(graph_.node(), [&](const onnx::NodeProto& n) {
      return readable_text(OnnxNode(n, opset_).name()) == layer.name;
    });
    return conv != graph_.node().end() && line(OnnxNode(*conv, opset_)) ? Dims{channels, 1} : Dims{channels, 1, 1};
  }

  // What a node multiplies by comes off the weights.
  static std::vector<double> scaled(std::vector<double> values, double factor) {
    for (double& v : values) v /= factor;
    return values;
  }

  void replace(const NewWeights& w, onnx::NodeProto& n, int input, const Dims& dims,
               const std::vector<double>& values) {
    // An input that is left out has the type of the weights.
    const std::string old = input < n.input_size() ? n.input(input) : "";
    if (!constants_.is_float(old.empty() ? n.input(1) : old))
      fail(w, "its weights are not float32, so they cannot be written back");
    if (old.empty()) newly_biased_.push_back(w.node);
    while (n.input_size() <= input) n.add_input("");
    n.set_input(input, "");
    n.set_input(input, constants_.replace(old.empty() ? w.node + ".bias" : old, dims, floats(w, values)));
  }

  static std::vector<float> floats(const NewWeights& w, const std::vector<double>& values) {
    std::vector<float> out(values.begin(), values.end());
    if (!std::ranges::all_of(out, [](float v) { return std::isfinite(v); }))
      fail(w, "a weight is not finite in float32, so they cannot be written back");
    return out;
  }

  // A MatMul has no biases: an Add behind it gets them.
  std::string add_bias(const NewWeights& w, onnx::NodeProto& n) {
    if (!constants_.is_float(n.input(1))) fail(w, "its weights are not float32, so they cannot be written back");
    newly_biased_.push_back(w.node);
    onnx::NodeProto add;
    add.set_op_type("Add");
    add.set_name(constants_.unused(w.node + ".bias"));
    add.add_output(n.output(0));
    n.set_output(0, constants_.unused(w.node + ".product"));
    add.add_input(n.output(0));
    add.add_input(
        constants_.replace(w.node + ".bias", {static_cast<std::int64_t>(w.values.size())}, floats(w, w.values)));
    // The nodes are in an order in which all operands are there.
    const int at = constants_.position(n);
    *graph_.add_node() = add;
    auto* nodes = graph_.mutable_node();
    for (int k = graph_.node_size() - 1; k > at + 1; --k) nodes->SwapElements(k, k - 1);
    return add.name();
  }

  onnx::GraphProto& graph_;
  OnnxConstants constants_;
  const Network& network_;
  std::int64_t opset_;
  std::vector<std::string> newly_biased_;
};

// Whether the last layer gets another number of outputs.
bool new_outputs(const Network& network, std::span<const NewWeights> weights) {
  const Node& last = network.nodes.back();
  return std::ranges::any_of(weights, [&](const NewWeights& w) {
    const std::vector<double>* old = w.node == last.name ? weights_of(last, w.bias) : nullptr;
    return old != nullptr && old->size() != w.values.size();
  });
}

// With data from other files in it.
onnx::ModelProto read_whole(const Source& source) {
  onnx::ModelProto model = read_model(source);
  const ExternalData external(source);
  for (auto& t : *model.mutable_graph()->mutable_initializer()) {
    if (t.data_location() != onnx::TensorProto::EXTERNAL) continue;
    t.set_raw_data(external.read(t, "tensor '" + t.name() + "'"));
    t.clear_external_data();
    t.clear_data_location();
  }
  return model;
}

// A model with other weights.
struct Changed {
  onnx::ModelProto model;
  std::vector<std::string> newly_biased;
};

Changed changed(const Source& source, std::span<const NewWeights> weights) {
  const Network network = import_onnx(source);
  try {
    onnx::ModelProto model = read_whole(source);
    Writer writer(model, network, opset_of(model));
    std::vector<std::string> nodes;
    for (const NewWeights& w : weights) nodes.push_back(writer.put(w));
    // Other classes have other names, which nobody knows.
    if (new_outputs(network, weights)) {
      auto* metadata = model.mutable_metadata_props();
      for (int k = metadata->size(); k-- > 0;)
        if (metadata->Get(k).key() == kClassesKey) metadata->DeleteSubrange(k, 1);
    }
    const Network written = import_onnx(model, source);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const Node* n = find_node(written, readable_text(nodes[k]), weights[k].bias);
      const std::vector<double>* got = n == nullptr ? nullptr : weights_of(*n, weights[k].bias);
      const auto& wanted = weights[k].values;
      double most = 0;
      for (double v : wanted) most = std::max(most, std::abs(v));
      const bool same = got != nullptr && std::ranges::equal(*got, wanted, [&](double a, double b) {
                          return std::abs(a - b) <= kRounding * most;
                        });
      if (!same)
        throw Error(ErrorCode::bad_input, "node '" + readable_text(weights[k].node) +
                                              "': the import changes its weights, so they cannot be written back");
    }
    return {std::move(model), writer.newly_biased()};
  } catch (const Error& e) {
    const std::string message = e.what(), prefix = source.name() + ": ";
    throw Error(e.code(), message.starts_with(prefix) ? message : prefix + message);
  }
}

}  // namespace

void write_onnx(const Source& model, const Sink& sink, std::span<const NewWeights> weights) {
  std::string bytes;
  if (!changed(model, weights).model.SerializeToString(&bytes))
    throw Error(ErrorCode::bad_input, model.name() + ": the model with new weights is larger than 2 GiB");
  const auto output = wire::open_output(sink, bytes.size(), wire::Access::everyone, std::nullopt);
  output->write({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
  output->commit();
}

std::vector<std::string> check_writable(const Source& model, std::span<const NewWeights> weights) {
  return changed(model, weights).newly_biased;
}

void require_unshared(const Source& model, std::span<const NewWeights> weights) {
  onnx::ModelProto read = read_model(model);
  const Network network = import_onnx(read, model);
  Writer writer(read, network, opset_of(read));
  const std::vector<const onnx::NodeProto*> needed = needed_nodes(read.graph(), output_of(read.graph()));
  try {
    for (const NewWeights& w : weights) writer.require_unshared(w, needed);
  } catch (const Error& e) {
    throw Error(e.code(), model.name() + ": " + e.what());
  }
}

Bytes self_contained(const Source& model) {
  std::string bytes;
  if (!read_whole(model).SerializeToString(&bytes))
    throw Error(ErrorCode::bad_input, model.name() + ": the model with its external data is larger than 2 GiB");
  return {bytes.begin(), bytes.end()};
}

}  // namespace sotto::graph
