#include "graph/onnx_node.h"

#include "base/error.h"

namespace sotto::graph {

std::string OnnxNode::name() const {
  if (!proto_.name().empty()) return proto_.name();
  return proto_.output_size() > 0 ? proto_.output(0) : "?";
}

void OnnxNode::fail(const std::string& message) const {
  throw Error(ErrorCode::bad_input, "node '" + name() + "' (" + op() + "): " + message);
}

const std::string& OnnxNode::input(int i) const {
  if (i >= proto_.input_size()) fail("an input is missing");
  return proto_.input(i);
}

const std::string& OnnxNode::output(int i) const {
  if (i >= proto_.output_size()) fail("it has no output");
  return proto_.output(i);
}

const onnx::AttributeProto* OnnxNode::attribute(const std::string& name) const {
  for (const auto& a : proto_.attribute())
    if (a.name() == name) return &a;
  return nullptr;
}

std::int64_t OnnxNode::integer(const std::string& name, std::int64_t otherwise) const {
  const auto* a = attribute(name);
  return a != nullptr ? a->i() : otherwise;
}

double OnnxNode::real(const std::string& name, double otherwise) const {
  const auto* a = attribute(name);
  return a != nullptr ? static_cast<double>(a->f()) : otherwise;
}

std::optional<Dims> OnnxNode::integers(const std::string& name) const {
  const auto* a = attribute(name);
  if (a == nullptr) return std::nullopt;
  return Dims(a->ints().begin(), a->ints().end());
}

std::string OnnxNode::text(const std::string& name, const std::string& otherwise) const {
  const auto* a = attribute(name);
  return a != nullptr && !a->s().empty() ? a->s() : otherwise;
}

std::int64_t axis_of(const OnnxNode& n, std::int64_t axis, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  if (axis < -r || axis >= r) n.fail("axis " + std::to_string(axis) + " does not fit " + std::to_string(r) + " axes");
  return axis < 0 ? axis + r : axis;
}

}  // namespace sotto::graph
