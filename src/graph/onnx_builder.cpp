#include "graph/onnx_builder.h"

#include <algorithm>

#include "base/error.h"
#include "graph/onnx_advice.h"
#include "graph/onnx_limits.h"

namespace sotto::graph {

namespace {

// Numbers that the import may make of every one that it reads, and in any case: a small file stays a small network.
constexpr std::size_t kMostPerRead = 4;
constexpr std::size_t kAtLeast = std::size_t{1} << 24;

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::bad_input, message); }

// Numbers that a node holds.
std::size_t weights_of(const Op& op) {
  if (const auto* c = std::get_if<Conv2d>(&op)) return c->weights.size() + c->bias.size();
  if (const auto* d = std::get_if<Dense>(&op)) return d->weights.size() + d->bias.size();
  if (const auto* a = std::get_if<ChannelAffine>(&op)) return a->scale.size() + a->shift.size();
  if (const auto* r = std::get_if<Rearrange>(&op)) return r->channels.size();
  if (const auto* p = std::get_if<PixelBias>(&op)) return p->values.size();
  return 0;
}

bool all_equal(const std::vector<double>& v) { return std::ranges::adjacent_find(v, std::not_equal_to()) == v.end(); }

// Whether the node treats all elements alike, so that it does not care which are channels and which are pixels.
bool uniform(const Node& node) {
  if (const auto* a = std::get_if<ChannelAffine>(&node.op)) return all_equal(a->scale) && all_equal(a->shift);
  return std::holds_alternative<Input>(node.op) || std::holds_alternative<Sum>(node.op) ||
         std::holds_alternative<Product>(node.op) || std::holds_alternative<Function>(node.op);
}

}  // namespace

Builder::Builder(const onnx::GraphProto& graph, const ExternalData& external) : external_(external) {
  for (const auto& t : graph.initializer())
    if (!initializers_.emplace(t.name(), &t).second) fail("the tensor '" + t.name() + "' is defined twice");
}

void Builder::set_input(const std::string& name, Shape shape, Value value, Integer batch) {
  batch_ = batch;
  value.node = add(name, Input{}, {}, shape);
  values_[name] = std::move(value);
}

void Builder::set_part(const std::string& name, Value value, Integer batch) {
  batch_ = batch;
  values_[name] = std::move(value);
}

const Value* Builder::find_value(const std::string& name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? nullptr : &it->second;
}

void Builder::note(const std::string& text) {
  if (std::ranges::find(network_.notes, text) == network_.notes.end()) network_.notes.push_back(text);
}

const Value& Builder::any_value(const OnnxNode& n, int i) const {
  const std::string& name = n.input(i);
  const Value* v = find_value(name);
  if (v != nullptr) return *v;
  if (constants_.contains(name) || initializers_.contains(name))
    n.fail("input " + std::to_string(i) + " must not be constant");
  n.fail("input '" + name + "' is not defined before it is used");
}

const Value& Builder::raw_value(const OnnxNode& n, int i) const {
  const Value& v = any_value(n, i);
  if (!v.dropped.empty()) n.fail("it reads the result of '" + v.dropped + "'; " + advice_for("Softmax"));
  return v;
}

const Value& Builder::value(const OnnxNode& n, int i) const {
  const Value& v = raw_value(n, i);
  if (v.integral) n.fail("it computes with integers; cast the input to float first");
  return v;
}

const Constant* Builder::find_constant(const OnnxNode& n, int i) {
  if (!n.has_input(i)) return nullptr;
  const std::string& name = n.input(i);
  const auto known = constants_.find(name);
  if (known != constants_.end()) return known->second.get();
  const auto stored = initializers_.find(name);
  if (stored == initializers_.end()) return nullptr;
  auto c = std::make_shared<const Constant>(read_tensor(*stored->second, "tensor '" + name + "'", external_));
  held_ += c->size();
  if (held_ > kMaxElements) fail("its tensors have more than 2^28 elements");
  return (constants_[name] = std::move(c)).get();
}

const Constant& Builder::constant(const OnnxNode& n, int i) {
  const Constant* c = find_constant(n, i);
  if (c == nullptr) n.fail("input " + std::to_string(i) + " must be a constant");
  return *c;
}

void Builder::define(const OnnxNode& n, const std::string& name) const {
  if (values_.contains(name) || sequences_.contains(name) || constants_.contains(name) || initializers_.contains(name))
    n.fail("the value '" + name + "' is defined twice");
}

void Builder::set_constant(const OnnxNode& n, int output, Constant c) {
  define(n, n.output(output));
  folded_ += c.size();
  if (folded_ > kMostPerRead * held_ + kAtLeast) n.fail("the model computes too many constants");
  constants_[n.output(output)] = std::make_shared<const Constant>(std::move(c));
}

void Builder::alias_constant(const OnnxNode& n, int i) {
  define(n, n.output());
  constant(n, i);
  constants_[n.output()] = constants_.at(n.input(i));
}

void Builder::set_value(const OnnxNode& n, Value v, int output) {
  define(n, n.output(output));
  values_[n.output(output)] = std::move(v);
}

void Builder::set_sequence(const OnnxNode& n, std::vector<Value> values) {
  define(n, n.output());
  sequences_[n.output()] = std::move(values);
}

const std::vector<Value>& Builder::sequence(const OnnxNode& n, int i) const {
  const auto it = sequences_.find(n.input(i));
  if (it == sequences_.end()) n.fail("input '" + n.input(i) + "' is no list of values");
  return it->second;
}

int Builder::add(const std::string& name, Op op, std::vector<int> inputs, Shape s) {
  if (s.c < 1 || s.h < 1 || s.w < 1 || s.c > kMaxChannels || s.h > kMaxDim || s.w > kMaxDim)
    fail("node '" + name + "': impossible shape");
  if (s.size() > kMaxValue) fail("node '" + name + "': its value is too large");
  weights_ += weights_of(op);
  if (weights_ > kMostPerRead * held_ + kAtLeast) fail("node '" + name + "': the network repeats too many weights");
  network_.nodes.push_back({name, std::move(op), std::move(inputs), s});
  return static_cast<int>(network_.nodes.size()) - 1;
}

void Builder::set_like(const OnnxNode& n, Op op, std::vector<int> inputs, const Value& like) {
  const Shape s = shape(inputs.front());
  const int node = add(n.name(), std::move(op), std::move(inputs), s);
  set_value(n, {node, like.dims, false, like.view, {}});
}

int Builder::flat(const OnnxNode& n, const Value& v) {
  const Shape s = shape(v.node);
  if (s.h == 1 && s.w == 1) return v.node;
  if (s.size() > static_cast<std::size_t>(kMaxChannels)) n.fail("the flattened value is too long");
  const auto known = flat_.find(v.node);
  if (known != flat_.end()) return known->second;
  const Shape vector{static_cast<int>(s.size()), 1, 1};
  return flat_[v.node] = add(v.view.empty() ? n.name() : v.view, Flatten{}, {v.node}, vector);
}

int Builder::map(const OnnxNode& n, const Value& v) {
  const auto small = [](std::int64_t d) { return d >= 1 && d <= kMaxChannels; };
  if (v.dims.size() < 2 || v.dims.size() > 3 || !std::ranges::all_of(v.dims, small))
    n.fail("its input must have the dimensions [batch, channels, height, width]");
  const auto size = [&](std::size_t k) { return k < v.dims.size() ? static_cast<int>(v.dims[k]) : 1; };
  const Shape wanted{size(0), size(1), size(2)};
  if (shape(v.node) == wanted || reshape_input(wanted)) return v.node;
  n.fail("a layer's output is reshaped to other channels, height and width before it, which does not run encrypted");
}

bool Builder::reshape_input(const Shape& wanted) {
  const Shape now = network_.input_shape();
  if (now.size() != wanted.size()) return false;
  if (!std::ranges::all_of(network_.nodes, [&](const Node& n) { return n.shape == now && uniform(n); })) return false;
  for (Node& node : network_.nodes) {
    node.shape = wanted;
    if (auto* a = std::get_if<ChannelAffine>(&node.op)) {
      a->scale.assign(static_cast<std::size_t>(wanted.c), a->scale.front());
      a->shift.assign(static_cast<std::size_t>(wanted.c), a->shift.front());
    }
  }
  return true;
}

bool Builder::turn_input(const Dims& dims) {
  const Shape turned{static_cast<int>(dims[2]), static_cast<int>(dims[0]), static_cast<int>(dims[1])};
  if (!reshape_input(turned)) return false;
  values_.clear(), sequences_.clear();  // their elements are in another order now
  note("the model's input is [batch, height, width, channels]; Sotto feeds it pictures with channels first");
  return true;
}

}  // namespace sotto::graph
