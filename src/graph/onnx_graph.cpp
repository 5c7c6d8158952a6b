#include "graph/onnx_graph.h"

#include <map>

#include "base/error.h"

namespace sotto::graph {

namespace {

constexpr int kOldest = 11;
constexpr int kMaxNodes = 1 << 18;
constexpr std::size_t kMaxInlined = std::size_t{1} << 28;  // bytes of functions' nodes, each time they are called
constexpr int kMaxDepth = 16;                              // of functions that call functions

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::bad_input, message); }

bool own(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

using Name = std::pair<std::string, std::string>;  // domain and operator

// Copies nodes of functions into a graph.
class Inliner {
 public:
  explicit Inliner(const onnx::ModelProto& model) {
    for (const auto& f : model.functions()) functions_[{f.domain(), f.name()}] = &f;
  }

  void node(const onnx::NodeProto& n, onnx::GraphProto& out, int depth) {
    const auto found = functions_.find({n.domain(), n.op_type()});
    if (found == functions_.end()) {
      *add_to(out) = n;
      return;
    }
    if (depth > kMaxDepth) fail("the function '" + n.op_type() + "' calls itself");
    call(n, *found->second, out, depth);
  }

 private:
  static onnx::NodeProto* add_to(onnx::GraphProto& out) {
    if (out.node_size() >= kMaxNodes) fail("the model has too many nodes");
    return out.add_node();
  }

  // The nodes of a function under the names and attributes of one call.
  void call(const onnx::NodeProto& n, const onnx::FunctionProto& f, onnx::GraphProto& out, int depth) {
    const std::string where = (n.name().empty() ? n.op_type() : n.name()) + "/" + std::to_string(++calls_) + "/";
    if (calls_ > kMaxNodes) fail("the model has too many nodes");
    std::map<std::string, std::string> names = {{"", ""}};
    for (int i = 0; i < f.input_size(); ++i) names[f.input(i)] = i < n.input_size() ? n.input(i) : "";
    for (int i = 0; i < f.output_size() && i < n.output_size(); ++i)
      if (!n.output(i).empty()) names[f.output(i)] = n.output(i);
    const auto name = [&](const std::string& inner) { return names.emplace(inner, where + inner).first->second; };
    for (const auto& inner : f.node()) {
      inlined_ += inner.ByteSizeLong();
      if (inlined_ > kMaxInlined) fail("the functions of the model are too large for the times that they are called");
      onnx::NodeProto copy = inner;
      copy.set_name(where + (inner.name().empty() ? inner.op_type() : inner.name()));
      for (auto& s : *copy.mutable_input()) s = name(s);
      for (auto& s : *copy.mutable_output()) s = name(s);
      copy.clear_attribute();
      for (const auto& a : inner.attribute()) attribute(a, n, copy);
      node(copy, out, depth + 1);
    }
    // A function may hand an input on as it is.
    for (int i = 0; i < f.output_size() && i < n.output_size(); ++i)
      for (int k = 0; k < f.input_size(); ++k)
        if (f.output(i) == f.input(k) && k < n.input_size()) {
          auto* same = add_to(out);
          same->set_op_type("Identity");
          same->set_name(where + "Identity");
          same->add_input(n.input(k));
          same->add_output(n.output(i));
        }
  }

  // An attribute of a function's node: a value, or the caller's attribute of some name if it has that.
  static void attribute(const onnx::AttributeProto& a, const onnx::NodeProto& call, onnx::NodeProto& copy) {
    if (a.ref_attr_name().empty()) {
      *copy.add_attribute() = a;
      return;
    }
    for (const auto& given : call.attribute())
      if (given.name() == a.ref_attr_name()) {
        auto* bound = copy.add_attribute();
        *bound = given;
        bound->set_name(a.name());
      }
  }

  std::map<Name, const onnx::FunctionProto*> functions_;
  int calls_ = 0;
  std::size_t inlined_ = 0;  // bytes
};

}  // namespace

std::int64_t opset_of(const onnx::ModelProto& model) {
  for (const auto& o : model.opset_import()) {
    if (!own(o.domain())) continue;
    if (o.version() < kOldest)
      fail("the model uses opset " + std::to_string(o.version()) +
           "; export it with opset 11 or later, or convert it with onnx.version_converter");
    return o.version();
  }
  fail("the model names no operator set; it is damaged or not an ONNX model");
}

const std::string& output_of(const onnx::GraphProto& graph) {
  if (graph.output_size() == 1) return graph.output(0).name();
  std::string names;
  for (const auto& o : graph.output()) names += (names.empty() ? "'" : ", '") + o.name() + "'";
  fail("the model must have one output, the scores; it has " +
       (names.empty() ? "none" : std::to_string(graph.output_size()) + " (" + names + ")"));
}

std::vector<const onnx::NodeProto*> needed_nodes(const onnx::GraphProto& graph, const std::string& output) {
  std::map<std::string, std::vector<int>> producers;
  for (int i = 0; i < graph.node_size(); ++i)
    for (const auto& name : graph.node(i).output())
      if (!name.empty()) producers[name].push_back(i);
  std::vector<bool> needed(static_cast<std::size_t>(graph.node_size()), false);
  std::vector<std::string> open = {output};
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    for (const int i : producers[name]) {
      if (needed[static_cast<std::size_t>(i)]) continue;
      needed[static_cast<std::size_t>(i)] = true;
      open.insert(open.end(), graph.node(i).input().begin(), graph.node(i).input().end());
    }
  }
  std::vector<const onnx::NodeProto*> nodes;
  for (int i = 0; i < graph.node_size(); ++i)
    if (needed[static_cast<std::size_t>(i)]) nodes.push_back(&graph.node(i));
  return nodes;
}

void inline_functions(onnx::ModelProto& model) {
  if (model.functions_size() == 0) return;
  Inliner inliner(model);
  onnx::GraphProto inlined;
  for (const auto& n : model.graph().node()) inliner.node(n, inlined, 0);
  model.mutable_graph()->mutable_node()->Swap(inlined.mutable_node());
}

}  // namespace sotto::graph
