#include "graph/onnx_constants.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "graph/onnx_node.h"

namespace sotto::graph {

namespace {

using Type = onnx::TensorProto;

template <class List>
void erase_named(List* list, const std::string& name) {
  for (int k = list->size() - 1; k >= 0; --k)
    if (list->Get(k).name() == name) list->DeleteSubrange(k, 1);
}

bool reads(const onnx::NodeProto& n, const std::string& name);

// Also graphs inside of nodes read the values around them.
bool reads(const onnx::GraphProto& g, const std::string& name) {
  return std::ranges::any_of(g.node(), [&](const auto& n) { return reads(n, name); }) ||
         std::ranges::any_of(g.output(), [&](const auto& o) { return o.name() == name; });
}

bool reads(const onnx::NodeProto& n, const std::string& name) {
  return std::ranges::find(n.input(), name) != n.input().end() ||
         std::ranges::any_of(n.attribute(), [&](const auto& a) {
           return (a.has_g() && reads(a.g(), name)) ||
                  std::ranges::any_of(a.graphs(), [&](const auto& g) { return reads(g, name); });
         });
}

std::int64_t size_of(const onnx::TensorProto& t) {
  return std::accumulate(t.dims().begin(), t.dims().end(), std::int64_t{1}, std::multiplies<>());
}

}  // namespace

const onnx::TensorProto* OnnxConstants::stored(const std::string& name) const {
  const auto it = std::ranges::find_if(graph_.initializer(), [&](const auto& t) { return t.name() == name; });
  return it == graph_.initializer().end() ? nullptr : &*it;
}

const onnx::NodeProto* OnnxConstants::maker(const std::string& name) const {
  const auto it = std::ranges::find_if(
      graph_.node(), [&](const onnx::NodeProto& n) { return std::ranges::find(n.output(), name) != n.output().end(); });
  return it == graph_.node().end() ? nullptr : &*it;
}

bool OnnxConstants::is_read(const std::string& name) const { return reads(graph_, name); }

bool OnnxConstants::knows(const std::string& name) const {
  if (stored(name) != nullptr) return true;
  const onnx::NodeProto* n = maker(name);
  return n != nullptr && std::ranges::all_of(n->input(), [&](const auto& i) { return i.empty() || knows(i); });
}

bool OnnxConstants::is_float(const std::string& name) const {
  const auto other = [](int type) { return type == Type::DOUBLE || type == Type::FLOAT16 || type == Type::BFLOAT16; };
  if (const auto* t = stored(name)) return !other(t->data_type());
  const onnx::NodeProto* n = maker(name);
  if (n == nullptr) return true;
  const OnnxNode read(*n, 0);
  if (n->op_type() == "Cast") return read.integer("to", 0) == Type::FLOAT;
  if (const auto* value = read.attribute("value"); value != nullptr && value->has_t() && other(value->t().data_type()))
    return false;
  return std::ranges::all_of(n->input(), [&](const auto& i) { return is_float(i); });
}

std::optional<std::size_t> OnnxConstants::rank(const std::string& name) const {
  const auto* t = stored(name);
  return t == nullptr ? std::nullopt : std::optional(static_cast<std::size_t>(t->dims_size()));
}

std::set<std::string> OnnxConstants::tensors_of(const std::string& name) const {
  if (name.empty() || !knows(name)) return {};
  const onnx::NodeProto* n = stored(name) != nullptr ? nullptr : maker(name);
  if (n == nullptr || n->input().empty()) return {name};
  std::set<std::string> all;
  for (const std::string& input : n->input())
    if (const auto* t = stored(input); t == nullptr || (t->data_type() != Type::INT64 && size_of(*t) > 1))
      all.merge(tensors_of(input));
  return all;
}

void OnnxConstants::drop(const std::string& name) {
  if (name.empty() || is_read(name)) return;
  if (stored(name) != nullptr) {
    erase_named(graph_.mutable_initializer(), name);
    erase_named(graph_.mutable_input(), name);  // old models name their stored tensors there, too
    return;
  }
  const onnx::NodeProto* n = maker(name);
  if (n == nullptr || std::ranges::any_of(n->output(), [&](const auto& o) { return is_read(o); })) return;
  const std::vector<std::string> inputs(n->input().begin(), n->input().end());
  graph_.mutable_node()->DeleteSubrange(position(*n), 1);
  for (const std::string& i : inputs) drop(i);
}

int OnnxConstants::position(const onnx::NodeProto& node) const {
  int k = 0;
  while (&graph_.node(k) != &node) ++k;
  return k;
}

std::string OnnxConstants::unused(const std::string& name) const {
  const auto taken = [&](const std::string& s) {
    return is_read(s) || stored(s) != nullptr || maker(s) != nullptr ||
           std::ranges::any_of(graph_.node(), [&](const auto& n) { return n.name() == s; }) ||
           std::ranges::any_of(graph_.input(), [&](const auto& i) { return i.name() == s; });
  };
  std::string free = name;
  for (int k = 2; taken(free); ++k) free = name + "." + std::to_string(k);
  return free;
}

std::string OnnxConstants::replace(const std::string& name, const Dims& dims, const std::vector<float>& values) {
  drop(name);
  onnx::TensorProto t;
  t.set_name(unused(name));
  t.set_data_type(Type::FLOAT);
  for (std::int64_t d : dims) t.add_dims(d);
  t.set_raw_data(values.data(), values.size() * sizeof(float));
  *graph_.add_initializer() = t;
  return t.name();
}

}  // namespace sotto::graph
