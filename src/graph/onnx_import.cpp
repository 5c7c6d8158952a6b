#include "graph/onnx_import.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "graph/fuse.h"
#include "graph/onnx_advice.h"
#include "graph/onnx_fold.h"
#include "graph/onnx_graph.h"
#include "graph/onnx_limits.h"
#include "graph/onnx_metadata.h"
#include "graph/onnx_operators.h"
#include "graph/onnx_shapes.h"

namespace sotto::graph {

namespace {

constexpr std::size_t kMostGrowth = std::size_t{1} << 20;  // elements of a computed constant beyond those of its inputs

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::bad_input, message); }

// Whether the elements are those of a raw picture; fails if they are no numbers that pixels can have.
bool integral(const onnx::ValueInfoProto& input) {
  using Type = onnx::TensorProto;
  switch (input.type().tensor_type().elem_type()) {
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::FLOAT16:
    case Type::BFLOAT16:
      return false;
    case Type::UINT8:
    case Type::UINT16:
    case Type::INT16:
    case Type::INT32:
    case Type::INT64:
      return true;
    default:
      fail("input '" + input.name() + "' must hold floats or bytes");
  }
}

// The inputs that are no initializers.
std::vector<const onnx::ValueInfoProto*> inputs_of(const onnx::GraphProto& graph) {
  std::set<std::string> stored;
  for (const auto& t : graph.initializer()) stored.insert(t.name());
  std::vector<const onnx::ValueInfoProto*> inputs;
  for (const auto& i : graph.input())
    if (!stored.contains(i.name())) inputs.push_back(&i);
  if (inputs.empty()) fail("the model has no input");
  return inputs;
}

// An input as ONNX sees it, its shape, and the size of its batch if it is fixed.
struct ReadInput {
  Value value;
  Shape shape;
  Integer batch;
};

ReadInput read_input(const onnx::ValueInfoProto& input) {
  const auto& dims = input.type().tensor_type().shape();
  if (dims.dim_size() < 2 || dims.dim_size() > 4)
    fail("input '" + input.name() + "' must have the shape [batch, channels, height, width] or [batch, features]");
  Value v;
  v.integral = integral(input);
  for (int k = 1; k < dims.dim_size(); ++k) {
    const auto& d = dims.dim(k);
    if (!d.has_dim_value() || d.dim_value() < 1 || d.dim_value() > (dims.dim_size() == 2 ? kMaxChannels : kMaxDim))
      fail("input '" + input.name() + "' must have fixed channels, height and width");
    v.dims.push_back(d.dim_value());
  }
  const auto size = [&](std::size_t k) { return static_cast<int>(v.dims[k]); };
  // [h, w] is a grey picture; [k] a vector.
  const Shape shape = v.dims.size() == 3   ? Shape{size(0), size(1), size(2)}
                      : v.dims.size() == 2 ? Shape{1, size(0), size(1)}
                                           : Shape{size(0), 1, 1};
  const Integer batch = dims.dim(0).has_dim_value() ? Integer(dims.dim(0).dim_value()) : Integer();
  if (batch && *batch < 1) fail("input '" + input.name() + "' has no images");
  return {std::move(v), shape, batch};
}

// Several inputs are the channels of one picture, one behind the other; the network begins by taking them apart.
void read_inputs(const onnx::GraphProto& graph, Builder& b) {
  const auto inputs = inputs_of(graph);
  ReadInput first = read_input(*inputs.front());
  if (inputs.size() == 1) return b.set_input(inputs.front()->name(), first.shape, std::move(first.value), first.batch);
  Shape all{0, first.shape.h, first.shape.w};
  std::vector<ReadInput> parts;
  std::string list;
  for (const onnx::ValueInfoProto* i : inputs) {
    ReadInput& part = parts.emplace_back(read_input(*i));
    list += (list.empty() ? "" : ", ") + ("'" + i->name() + "' (" + std::to_string(part.shape.c) + ")");
    if (part.shape.h != all.h || part.shape.w != all.w)
      fail("the inputs '" + inputs.front()->name() + "' and '" + i->name() +
           "' differ in height or width; several inputs are read as the channels of one picture");
    if (part.batch != first.batch)
      fail("the inputs '" + inputs.front()->name() + "' and '" + i->name() + "' have batches of different sizes");
    if (part.value.integral != first.value.integral)
      fail("of the inputs '" + inputs.front()->name() + "' and '" + i->name() + "' only one holds integers");
    all.c += part.shape.c;
  }
  if (all.c > kMaxChannels) fail("the model's inputs have too many channels");
  const int image = b.add("inputs", Input{}, {}, all);
  int before = 0;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    Rearrange channels;
    for (int c = 0; c < parts[k].shape.c; ++c) channels.channels.push_back(before++);
    parts[k].value.node = b.add(inputs[k]->name(), channels, {image}, parts[k].shape);
    b.set_part(inputs[k]->name(), std::move(parts[k].value), first.batch);
  }
  b.note("the model has " + std::to_string(inputs.size()) + " inputs: give them as one picture of " +
         std::to_string(all.c) + " channels, in this order: " + list);
}

// The dimensions of a value as a constant.
Constant shape_of(const OnnxNode& n, const Builder& b) {
  const Value& v = b.raw_value(n, 0);
  std::vector<Integer> dims(v.dims.begin(), v.dims.end());
  dims.insert(dims.begin(), b.batch());
  return shape_part(n, dims);
}

void import_node(Builder& b, const OnnxNode& n) {
  const std::string& domain = n.proto().domain();
  if (!domain.empty() && domain != "ai.onnx") n.fail("operators of domain '" + domain + "' are not supported");
  std::vector<const Constant*> known;
  bool all = true;
  for (int i = 0; i < n.inputs() && all; ++i) {
    known.push_back(b.find_constant(n, i));
    all = known.back() != nullptr || !n.has_input(i);
  }
  if (n.op() == "Shape" && !all) return b.set_constant(n, 0, shape_of(n, b));
  if (all && n.op() == "Identity" && n.inputs() == 1) return b.alias_constant(n, 0);
  if (all && folds(n.op())) {
    std::vector<Constant> results = fold(n, known, kMostGrowth);
    for (std::size_t i = 0; i < results.size(); ++i)
      if (!n.output(static_cast<int>(i)).empty()) b.set_constant(n, static_cast<int>(i), std::move(results[i]));
    return;
  }
  if (const ImportNode import = find_operator(n.op())) return import(b, n);
  if (!import_activation(b, n)) n.fail(advice_for(n.op()));
}

// The ranges of activations that the metadata state, and where they went.
class Ranges {
 public:
  explicit Ranges(const onnx::ModelProto& model) : stated_(read_relu_ranges(model)) {}

  // Notes the range of an ONNX node that became the network's nodes from `first` on: it is that of the activations
  // among them, or of a product, which may be a part of one.
  void note(const OnnxNode& n, const Network& network, std::size_t first) {
    const auto& nodes = network.nodes;
    by_node_.resize(nodes.size());
    std::vector<std::size_t> ranged;
    for (std::size_t k = first; k < nodes.size(); ++k)
      if (std::holds_alternative<Function>(nodes[k].op)) ranged.push_back(k);
    if (ranged.empty() && nodes.size() > first && std::holds_alternative<Product>(nodes.back().op))
      ranged.push_back(nodes.size() - 1);
    for (const std::string& name : {n.name(), n.output()}) {
      const auto it = stated_.find(name);
      if (it == stated_.end() || ranged.empty()) continue;
      for (std::size_t k : ranged) by_node_[k] = it->second;
      used_.insert(name);
    }
  }

  // Every range must be that of a node that is there, or of one that nobody needs.
  void check(const onnx::GraphProto& graph, const std::vector<const onnx::NodeProto*>& needed) {
    const std::set<const onnx::NodeProto*> kept(needed.begin(), needed.end());
    for (const auto& n : graph.node()) {
      if (kept.contains(&n)) continue;
      used_.insert(n.name());
      used_.insert(n.output().begin(), n.output().end());
    }
    for (const auto& [name, range] : stated_)
      if (!used_.contains(name)) fail("metadata sotto.relu_ranges names '" + name + "', which is no activation");
  }

  [[nodiscard]] const std::vector<double>& by_node() const { return by_node_; }

 private:
  std::map<std::string, double> stated_;
  std::set<std::string> used_;
  std::vector<double> by_node_;
};

// Makes the model's output the last node and drops what does not lead to it.
void finish(Builder& b, const std::string& output) {
  const Value* v = b.find_value(output);
  if (v == nullptr) fail("the model's output '" + output + "' is not computed from its input");
  if (v->node == 0 && v->view.empty()) fail("the model's output is its input");
  std::int64_t size = 1, longest = 1;
  for (const std::int64_t d : v->dims) size *= d, longest = std::max(longest, d);
  if (size != longest) {
    std::string dims;
    for (const std::int64_t d : v->dims) dims += ", " + std::to_string(d);
    fail("the model's output must be a vector of scores, [batch, classes]; it is [batch" + dims + "]");
  }
  onnx::NodeProto last;
  last.set_name(output);
  int node = b.flat(OnnxNode(last, 0), *v);
  if (node == 0) node = b.add(output, Flatten{}, {0}, b.shape(0));
  keep_ancestors(b.network(), node);
}

// Polynomials follow no function to infinity.
void refuse_poles(const Network& network) {
  for (const Node& n : network.nodes) {
    const auto* f = std::get_if<Function>(&n.op);
    if (f != nullptr && f->has_pole()) fail("node '" + n.name + "': division by a value that can be zero");
  }
}

Network import_model(onnx::ModelProto& model, const ExternalData& external) {
  const std::int64_t opset = opset_of(model);
  inline_functions(model);
  const onnx::GraphProto& graph = model.graph();
  Builder b(graph, external);
  read_inputs(graph, b);
  Ranges ranges(model);
  const bool raw = b.find_value(inputs_of(graph).front()->name())->integral;
  const std::string& output = output_of(graph);
  const std::vector<const onnx::NodeProto*> nodes = needed_nodes(graph, output);
  std::size_t values = 0;
  for (const onnx::NodeProto* node : nodes) {
    const OnnxNode n(*node, opset);
    const std::size_t first = b.network().nodes.size();
    import_node(b, n);
    ranges.note(n, b.network(), first);
    for (std::size_t k = first; k < b.network().nodes.size(); ++k) values += b.network().nodes[k].shape.size();
    if (values > kMaxValues) n.fail("the values up to here have more than 2^28 numbers; take smaller pictures");
  }
  ranges.check(graph, nodes);
  fuse_functions(b.network(), ranges.by_node());
  finish(b, output);
  refuse_poles(b.network());
  read_metadata(model, raw, b.network());
  return std::move(b.network());
}

// What f makes; its errors name the file.
template <class F>
auto naming(const Source& source, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    // Names of nodes and operators may hold anything.
    throw Error(e.code(), source.name() + ": " + readable_text(e.what()), e.setting());
  }
}

}  // namespace

Network import_onnx(const Source& source) {
  return import_onnx(naming(source, [&] { return read_model(source); }), source);
}

Network import_onnx(onnx::ModelProto model, const Source& source) {
  return naming(source, [&] {
    Network network = import_model(model, ExternalData(source));
    network.name = readable_text(std::filesystem::path(source.name()).filename().string());
    for (Node& node : network.nodes) node.name = readable_text(node.name);
    for (std::string& name : network.classes) name = readable_text(name);
    for (std::string& text : network.notes) text = readable_text(text);
    return network;
  });
}

}  // namespace sotto::graph
