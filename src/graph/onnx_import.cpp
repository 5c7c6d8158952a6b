#include "graph/onnx_import.h"

#include <onnx/onnx_pb.h>

#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/text.h"
#include "graph/fuse.h"
#include "graph/onnx_activations.h"
#include "graph/onnx_advice.h"
#include "graph/onnx_metadata.h"
#include "graph/onnx_tensor.h"

namespace sotto::graph {

namespace {

constexpr std::uintmax_t kMaxFile = std::uintmax_t{1} << 30;
constexpr int kMaxDim = 1 << 14;
constexpr int kMostPower = 16;
constexpr std::size_t kMaxValue = std::size_t{1} << 26;  // numbers in one feature map

class Importer {
 public:
  explicit Importer(const onnx::ModelProto& model) : model_(model) {}

  Network run() {
    check_opset();
    for (const auto& t : model_.graph().initializer())
      constants_[t.name()] = read_tensor(t, "tensor '" + t.name() + "'");
    read_input();
    ranges_ = read_relu_ranges(model_);
    for (const auto& node : model_.graph().node()) {
      const std::size_t first = network_.nodes.size();
      import_node(node);
      state_range(node, first);
    }
    for (const auto& [name, range] : ranges_)
      if (!ranged_.contains(name)) fail("metadata sotto.relu_ranges names '" + name + "', which is no activation");
    fuse_functions(network_, stated_);
    finish();
    read_metadata(model_, network_);
    return std::move(network_);
  }

 private:
  using NodeProto = onnx::NodeProto;

  [[noreturn]] static void fail(const std::string& message) { throw Error(ErrorCode::bad_input, message); }
  [[noreturn]] static void fail(const NodeProto& n, const std::string& message) {
    fail("node '" + (n.name().empty() ? (n.output_size() ? n.output(0) : std::string("?")) : n.name()) + "' (" +
         n.op_type() + "): " + message);
  }

  void check_opset() {
    for (const auto& o : model_.opset_import()) {
      if (!o.domain().empty() && o.domain() != "ai.onnx") continue;
      if (o.version() < 13)
        fail("the model uses opset " + std::to_string(o.version()) + "; export it with opset 13 or later");
      return;
    }
    fail("the model names no operator set; it is damaged or not an ONNX model");
  }

  void read_input() {
    const onnx::ValueInfoProto* input = nullptr;
    for (const auto& i : model_.graph().input()) {
      if (constants_.contains(i.name())) continue;
      if (input != nullptr)
        fail("the model has several inputs ('" + input->name() + "', '" + i.name() +
             "'); it must have one image input");
      input = &i;
    }
    if (input == nullptr) fail("the model has no input");
    const auto& dims = input->type().tensor_type().shape();
    if (dims.dim_size() != 4)
      fail("input '" + input->name() + "' must have the shape [batch, channels, height, width]");
    if (dims.dim(0).has_dim_value()) batch_ = dims.dim(0).dim_value();
    int size[3];
    for (int k = 0; k < 3; ++k) {
      const auto& d = dims.dim(k + 1);
      if (!d.has_dim_value() || d.dim_value() < 1 || d.dim_value() > kMaxDim)
        fail("input '" + input->name() + "' must have fixed channels, height and width");
      size[k] = static_cast<int>(d.dim_value());
    }
    add_value(input->name(), {input->name(), Input{}, {}, {size[0], size[1], size[2]}});
  }

  void add_value(const std::string& name, Node node) {
    if (node.shape.c < 1 || node.shape.h < 1 || node.shape.w < 1 || node.shape.c > 65536 || node.shape.h > kMaxDim ||
        node.shape.w > kMaxDim)
      fail("node '" + node.name + "': impossible shape");
    if (node.shape.size() > kMaxValue) fail("node '" + node.name + "': its value is too large");
    if (values_.contains(name) || constants_.contains(name)) fail("the value '" + name + "' is defined twice");
    matrix_.push_back(!node.inputs.empty() && matrix_[static_cast<std::size_t>(node.inputs.front())]);
    network_.nodes.push_back(std::move(node));
    values_[name] = static_cast<int>(network_.nodes.size()) - 1;
  }

  // Attributes.
  static const onnx::AttributeProto* attribute(const NodeProto& n, const std::string& name) {
    for (const auto& a : n.attribute())
      if (a.name() == name) return &a;
    return nullptr;
  }
  static std::int64_t integer(const NodeProto& n, const std::string& name, std::int64_t otherwise) {
    const auto* a = attribute(n, name);
    return a ? a->i() : otherwise;
  }
  static double real(const NodeProto& n, const std::string& name, double otherwise) {
    const auto* a = attribute(n, name);
    return a ? static_cast<double>(a->f()) : otherwise;
  }
  static std::vector<int> integers(const NodeProto& n, const std::string& name, std::vector<int> otherwise) {
    const auto* a = attribute(n, name);
    if (a == nullptr) return otherwise;
    std::vector<int> v;
    for (const std::int64_t i : a->ints()) {
      if (i < -kMaxDim || i > kMaxDim) fail(n, "attribute " + name + " is out of range");
      v.push_back(static_cast<int>(i));
    }
    if (!otherwise.empty() && v.size() != otherwise.size())
      fail(n, "attribute " + name + " must have " + std::to_string(otherwise.size()) + " values");
    return v;
  }

  int value(const NodeProto& n, int i) {
    if (i >= n.input_size()) fail(n, "an input is missing");
    const auto it = values_.find(n.input(i));
    if (it == values_.end())
      fail(n, constants_.contains(n.input(i)) ? "input " + std::to_string(i) + " must not be constant"
                                              : "input '" + n.input(i) + "' is not defined before it is used");
    return it->second;
  }
  const Constant* find_constant(const NodeProto& n, int i) const {
    if (i >= n.input_size()) return nullptr;
    const auto it = constants_.find(n.input(i));
    return it == constants_.end() ? nullptr : &it->second;
  }
  const Constant& constant(const NodeProto& n, int i) const {
    const Constant* c = find_constant(n, i);
    if (c == nullptr) fail(n, "input " + std::to_string(i) + " must be a constant");
    return *c;
  }
  const Shape& shape(int v) const { return network_.nodes[static_cast<std::size_t>(v)].shape; }

  void emit(const NodeProto& n, Op op, std::vector<int> inputs, Shape s) {
    if (n.output_size() < 1) fail(n, "it has no output");
    for (int i = 1; i < n.output_size(); ++i)
      if (!n.output(i).empty()) fail(n, "only its first output is supported");
    add_value(n.output(0), {n.name().empty() ? n.output(0) : n.name(), std::move(op), std::move(inputs), s});
  }
  void alias(const NodeProto& n, int v) {
    emit(n, ChannelAffine{std::vector<double>(shape(v).c, 1.0), std::vector<double>(shape(v).c, 0.0)}, {v}, shape(v));
  }

  void import_node(const NodeProto& n) {
    const std::string& op = n.op_type();
    if (!n.domain().empty() && n.domain() != "ai.onnx")
      fail(n, "operators of domain '" + n.domain() + "' are not supported");
    if (op == "Constant") return import_constant(n);
    if (op == "Conv") return import_conv(n);
    if (op == "BatchNormalization") return import_batch_norm(n);
    if (op == "Add" || op == "Sub" || op == "Mul" || op == "Div") return import_arithmetic(n);
    if (op == "Pow") return import_pow(n);
    if (op == "Neg") {
      const int v = value(n, 0);
      return emit(n, ChannelAffine{std::vector<double>(shape(v).c, -1.0), std::vector<double>(shape(v).c, 0.0)}, {v},
                  shape(v));
    }
    if (import_activation(n)) return;
    if (op == "AveragePool") return import_average_pool(n);
    if (op == "GlobalAveragePool") return emit(n, GlobalAveragePool{}, {value(n, 0)}, {shape(value(n, 0)).c, 1, 1});
    if (op == "ReduceMean") return import_reduce_mean(n);
    if (op == "Flatten" || op == "Reshape") return import_flatten(n);
    if (op == "Squeeze") return import_squeeze(n);
    if (op == "Gemm" || op == "MatMul") return import_dense(n);
    if (op == "Identity" || op == "Dropout") return alias(n, value(n, 0));
    if (op == "Cast") {
      const auto to = integer(n, "to", 0);
      if (to != onnx::TensorProto::FLOAT && to != onnx::TensorProto::DOUBLE && to != onnx::TensorProto::FLOAT16)
        fail(n, "only casts to float types are supported");
      return alias(n, value(n, 0));
    }
    fail(n, advice_for(op));
  }

  void import_squeeze(const NodeProto& n) {
    const int v = value(n, 0);
    const auto removed = axes(n);
    if (shape(v).h != 1 || shape(v).w != 1 || (!removed.empty() && removed != std::set<std::int64_t>{2, 3}))
      fail(n, "only height and width of size 1 can be removed");
    alias(n, v);
    matrix_.back() = true;
  }

  // Axes from an input or an attribute, counted from the front.
  std::set<std::int64_t> axes(const NodeProto& n) {
    std::set<std::int64_t> raw, positive;
    if (n.input_size() > 1 && !n.input(1).empty()) {
      for (double a : constant(n, 1).values) raw.insert(static_cast<std::int64_t>(a));
    } else if (const auto* a = attribute(n, "axes")) {
      raw.insert(a->ints().begin(), a->ints().end());
    }
    for (auto a : raw) positive.insert(a < 0 ? a + 4 : a);
    return positive;
  }

  void import_constant(const NodeProto& n) {
    if (n.output_size() != 1) fail(n, "it must have one output");
    Constant c;
    if (const auto* a = attribute(n, "value")) {
      c = read_tensor(a->t(), "node '" + n.name() + "'");
    } else if (const auto* f = attribute(n, "value_float")) {
      c.values = {static_cast<double>(f->f())};
    } else if (const auto* i = attribute(n, "value_int")) {
      c.values = {static_cast<double>(i->i())};
    } else if (const auto* l = attribute(n, "value_ints")) {
      for (const auto v : l->ints()) c.values.push_back(static_cast<double>(v));
      c.dims = {l->ints_size()};
    } else {
      fail(n, "this kind of constant is not supported");
    }
    if (values_.contains(n.output(0)) || constants_.contains(n.output(0))) fail(n, "its output is defined twice");
    constants_[n.output(0)] = std::move(c);
  }

  // Output size of a window along one axis.
  static int windows(const NodeProto& n, int size, int kernel, int stride, int pad, int dilation) {
    const int span = dilation * (kernel - 1) + 1;
    if (kernel < 1 || stride < 1 || dilation < 1 || pad < 0 || size + pad < span)
      fail(n, "its window does not fit the input");
    return (size + pad - span) / stride + 1;
  }

  std::vector<int> pads(const NodeProto& n) {
    const auto* a = attribute(n, "auto_pad");
    if (a != nullptr && !a->s().empty() && a->s() != "NOTSET" && a->s() != "VALID")
      fail(n, "auto_pad " + a->s() + " is not supported; export explicit pads");
    std::vector<int> p = integers(n, "pads", {0, 0, 0, 0});
    for (int v : p)
      if (v < 0) fail(n, "pads must not be negative");
    return p;
  }

  void import_conv(const NodeProto& n) {
    const int v = value(n, 0);
    const Constant& w = constant(n, 1);
    const Shape in = shape(v);
    if (w.dims.size() != 4) fail(n, "weights must have four dimensions");
    for (auto d : w.dims)
      if (d < 1 || d > 65536) fail(n, "impossible weight shape");
    Conv2d c;
    const std::int64_t groups = integer(n, "group", 1);
    if (groups < 1 || groups > in.c) fail(n, "impossible number of groups");
    c.groups = static_cast<int>(groups);
    c.out_c = static_cast<int>(w.dims[0]);
    c.in_c = in.c;
    c.kernel_h = static_cast<int>(w.dims[2]);
    c.kernel_w = static_cast<int>(w.dims[3]);
    if (in.c % c.groups != 0 || c.out_c % c.groups != 0 || w.dims[1] != in.c / c.groups)
      fail(n, "weights for " + std::to_string(w.dims[1]) + " input channels do not fit an input of " +
                  std::to_string(in.c));
    const auto kernel = integers(n, "kernel_shape", {c.kernel_h, c.kernel_w});
    if (kernel != std::vector<int>{c.kernel_h, c.kernel_w}) fail(n, "kernel_shape does not fit the weights");
    const auto strides = integers(n, "strides", {1, 1}), dilations = integers(n, "dilations", {1, 1}), p = pads(n);
    c.stride_h = strides[0], c.stride_w = strides[1];
    c.dilation_h = dilations[0], c.dilation_w = dilations[1];
    c.pad_top = p[0], c.pad_left = p[1], c.pad_bottom = p[2], c.pad_right = p[3];
    c.weights = w.values;
    c.bias.assign(static_cast<std::size_t>(c.out_c), 0.0);
    if (n.input_size() > 2 && !n.input(2).empty()) {
      const Constant& b = constant(n, 2);
      if (b.values.size() != c.bias.size()) fail(n, "wrong number of biases");
      c.bias = b.values;
    }
    const Shape out{c.out_c, windows(n, in.h, c.kernel_h, c.stride_h, p[0] + p[2], c.dilation_h),
                    windows(n, in.w, c.kernel_w, c.stride_w, p[1] + p[3], c.dilation_w)};
    emit(n, std::move(c), {v}, out);
  }

  void import_batch_norm(const NodeProto& n) {
    const int v = value(n, 0);
    const auto channels = static_cast<std::size_t>(shape(v).c);
    if (integer(n, "training_mode", 0) != 0) fail(n, "it is in training mode; export the model for inference");
    for (int i = 1; i <= 4; ++i)
      if (constant(n, i).values.size() != channels) fail(n, "wrong number of channel constants");
    const double epsilon = real(n, "epsilon", 1e-5);
    ChannelAffine a{std::vector<double>(channels), std::vector<double>(channels)};
    for (std::size_t c = 0; c < channels; ++c) {
      const double variance = constant(n, 4).values[c] + epsilon;
      if (!(variance > 0)) fail(n, "a variance is not positive");
      a.scale[c] = constant(n, 1).values[c] / std::sqrt(variance);
      a.shift[c] = constant(n, 2).values[c] - a.scale[c] * constant(n, 3).values[c];
    }
    emit(n, std::move(a), {v}, shape(v));
  }

  // A constant operand as one value per channel: a scalar, [c,1,1] or [1,c,1,1]; for matrices [k] or [1,k].
  std::vector<double> per_channel(const NodeProto& n, const Constant& c, int v) {
    const auto channels = static_cast<std::int64_t>(shape(v).c);
    if (c.values.size() == 1) return std::vector<double>(static_cast<std::size_t>(channels), c.values[0]);
    using Dims = std::vector<std::int64_t>;
    const bool fits = matrix_[static_cast<std::size_t>(v)]
                          ? c.dims == Dims{channels} || c.dims == Dims{1, channels}
                          : c.dims == Dims{channels, 1, 1} || c.dims == Dims{1, channels, 1, 1};
    if (fits) return c.values;
    fail(n, "the constant must be a scalar or have one value per channel");
  }

  void import_arithmetic(const NodeProto& n) {
    const std::string& op = n.op_type();
    if (n.input_size() != 2) fail(n, "it must have two inputs");
    const Constant *left = find_constant(n, 0), *right = find_constant(n, 1);
    if (left != nullptr && right != nullptr) {
      if (left->values.size() != 1 || right->values.size() != 1 || n.output_size() != 1)
        fail(n, "arithmetic on two constants is not supported");
      const double a = left->values[0], b = right->values[0];
      if (op == "Div" && b == 0) fail(n, "division by zero");
      constants_[n.output(0)] = {{}, {op == "Add" ? a + b : op == "Sub" ? a - b : op == "Mul" ? a * b : a / b}};
      return;
    }
    if (left == nullptr && right == nullptr) {
      const int a = value(n, 0);
      int b = value(n, 1);
      if (shape(a) != shape(b) || matrix_[static_cast<std::size_t>(a)] != matrix_[static_cast<std::size_t>(b)])
        fail(n, "operands have different shapes");
      if (op == "Div") fail(n, "division by a value is not supported");
      if (op == "Sub") {
        const Shape s = shape(b);
        matrix_.push_back(matrix_[static_cast<std::size_t>(b)]);
        network_.nodes.push_back(
            {n.name(), ChannelAffine{std::vector<double>(s.c, -1.0), std::vector<double>(s.c, 0.0)}, {b}, s});
        b = static_cast<int>(network_.nodes.size()) - 1;
      }
      return op == "Mul" ? emit(n, Product{}, {a, b}, shape(a)) : emit(n, Sum{}, {a, b}, shape(a));
    }
    const int v = value(n, left == nullptr ? 0 : 1);
    const std::vector<double> k = per_channel(n, left == nullptr ? *right : *left, v);
    ChannelAffine a{std::vector<double>(k.size(), 1.0), std::vector<double>(k.size(), 0.0)};
    for (std::size_t c = 0; c < k.size(); ++c) {
      if (op == "Add") a.shift[c] = k[c];
      if (op == "Mul") a.scale[c] = k[c];
      if (op == "Sub") {
        a.shift[c] = left == nullptr ? -k[c] : k[c];
        a.scale[c] = left == nullptr ? 1 : -1;
      }
      if (op == "Div") {
        if (left != nullptr || k[c] == 0) fail(n, "division by a value or by zero is not supported");
        a.scale[c] = 1 / k[c];
      }
    }
    emit(n, std::move(a), {v}, shape(v));
  }

  void import_pow(const NodeProto& n) {
    const int v = value(n, 0);
    const Constant& e = constant(n, 1);
    const double exponent = e.values.size() == 1 ? e.values[0] : 0;
    if (exponent != std::floor(exponent) || exponent < 1 || exponent > kMostPower)
      fail(n, "only the exponents 1, 2, .. " + std::to_string(kMostPower) + " run encrypted");
    if (exponent == 1) return alias(n, v);
    int power = v;
    for (int k = 2; k < static_cast<int>(exponent); ++k) power = append(n, Product{}, {power, v}, shape(v));
    emit(n, Product{}, {power, v}, shape(v));
  }

  // A node before the one that gives n its output.
  int append(const NodeProto& n, Op op, std::vector<int> inputs, Shape s) {
    matrix_.push_back(matrix_[static_cast<std::size_t>(inputs.front())]);
    network_.nodes.push_back({n.name().empty() ? n.output(0) : n.name(), std::move(op), std::move(inputs), s});
    return static_cast<int>(network_.nodes.size()) - 1;
  }

  bool import_activation(const NodeProto& n) {
    const auto scalar = [&](int i) -> std::optional<double> {
      const Constant* c = find_constant(n, i);
      return c != nullptr && c->values.size() == 1 ? std::optional(c->values[0]) : std::nullopt;
    };
    std::optional<Activation> activation;
    try {
      activation = read_activation(n, scalar);
    } catch (const Error& e) {
      fail(n, e.what());
    }
    if (activation) {
      const int v = value(n, activation->input);
      emit(n, std::move(activation->function), {v}, shape(v));
    } else if (n.op_type() == "PRelu") {  // a slope per channel: slope x + (1 - slope) relu(x)
      const int v = value(n, 0);
      const std::vector<double> slope = per_channel(n, constant(n, 1), v), zero(slope.size());
      std::vector<double> rest;
      for (double s : slope) rest.push_back(1 - s);
      const int relu = append(n, Function::of(Function::Kind::relu), {v}, shape(v));
      const int below = append(n, ChannelAffine{slope, zero}, {v}, shape(v));
      const int above = append(n, ChannelAffine{rest, zero}, {relu}, shape(v));
      emit(n, Sum{}, {above, below}, shape(v));
    } else {
      return false;
    }
    return true;
  }

  // Notes the range that the metadata states for a node, whose first node here is `first`.
  void state_range(const NodeProto& n, std::size_t first) {
    stated_.resize(network_.nodes.size());
    std::size_t k = first;
    while (k < network_.nodes.size() && !std::holds_alternative<Function>(network_.nodes[k].op)) ++k;
    if (k == network_.nodes.size()) --k;  // a product may be a part of an activation
    if (network_.nodes.size() == first || n.output_size() < 1 ||
        !(std::holds_alternative<Function>(network_.nodes[k].op) ||
          std::holds_alternative<Product>(network_.nodes[k].op)))
      return;
    for (const std::string& name : {n.name(), n.output(0)}) {
      const auto it = ranges_.find(name);
      if (it == ranges_.end()) continue;
      stated_[k] = it->second;
      ranged_.insert(name);
    }
  }

  void import_average_pool(const NodeProto& n) {
    const int v = value(n, 0);
    const Shape in = shape(v);
    const auto kernel = integers(n, "kernel_shape", {0, 0}), strides = integers(n, "strides", {1, 1}), p = pads(n);
    if (integer(n, "ceil_mode", 0) != 0) fail(n, "ceil_mode is not supported");
    if (integers(n, "dilations", {1, 1}) != std::vector<int>{1, 1}) fail(n, "dilation is not supported");
    const AveragePool a{
        kernel[0], kernel[1], strides[0], strides[1], p[0], p[1], p[2], p[3], integer(n, "count_include_pad", 0) != 0};
    if (p[0] >= kernel[0] || p[2] >= kernel[0] || p[1] >= kernel[1] || p[3] >= kernel[1])
      fail(n, "pads must be smaller than the kernel");
    const Shape out{in.c, windows(n, in.h, kernel[0], strides[0], p[0] + p[2], 1),
                    windows(n, in.w, kernel[1], strides[1], p[1] + p[3], 1)};
    emit(n, a, {v}, out);
  }

  void import_reduce_mean(const NodeProto& n) {
    const int v = value(n, 0);
    if (axes(n) != std::set<std::int64_t>{2, 3}) fail(n, "only the mean over height and width is supported");
    emit(n, GlobalAveragePool{}, {v}, {shape(v).c, 1, 1});
    matrix_.back() = integer(n, "keepdims", 1) == 0;
  }

  void import_flatten(const NodeProto& n) {
    const int v = value(n, 0);
    const Shape in = shape(v);
    const auto size = static_cast<std::int64_t>(in.size());
    if (size > 65536) fail(n, "the flattened value is too long");
    if (n.op_type() == "Flatten") {
      if (integer(n, "axis", 1) != 1) fail(n, "only axis 1 is supported");
    } else {
      const std::vector<double>& target = constant(n, 1).values;
      const bool two = target.size() == 2;
      const bool batch =
          two && (target[0] == -1 || target[0] == 0 || target[0] == 1 || target[0] == static_cast<double>(batch_));
      const bool features = two && (target[1] == static_cast<double>(size) || (target[1] == -1 && target[0] != -1));
      if (!batch || !features) fail(n, "only a reshape to [batch, features] is supported");
    }
    emit(n, Flatten{}, {v}, {static_cast<int>(size), 1, 1});
    matrix_.back() = true;
  }

  void import_dense(const NodeProto& n) {
    const int v = value(n, 0);
    const Constant& w = constant(n, 1);
    const Shape in = shape(v);
    const bool gemm = n.op_type() == "Gemm";
    if (in.h != 1 || in.w != 1) fail(n, "its input must be flattened first");
    if (w.dims.size() != 2 || w.dims[0] < 1 || w.dims[1] < 1 || w.dims[0] > 65536 || w.dims[1] > 65536)
      fail(n, "weights must be a matrix");
    if (gemm && integer(n, "transA", 0) != 0) fail(n, "transA is not supported");
    const bool transposed = gemm && integer(n, "transB", 0) != 0;
    const double alpha = gemm ? real(n, "alpha", 1) : 1, beta = gemm ? real(n, "beta", 1) : 1;
    const int outputs = static_cast<int>(transposed ? w.dims[0] : w.dims[1]),
              inputs = static_cast<int>(transposed ? w.dims[1] : w.dims[0]);
    if (inputs != in.c) fail(n, "weights for " + std::to_string(inputs) + " inputs do not fit " + std::to_string(in.c));
    Dense d{outputs, inputs, std::vector<double>(w.values.size()),
            std::vector<double>(static_cast<std::size_t>(outputs), 0.0)};
    for (int o = 0; o < outputs; ++o)
      for (int i = 0; i < inputs; ++i)
        d.weights[static_cast<std::size_t>(o) * inputs + i] =
            alpha *
            w.values[transposed ? static_cast<std::size_t>(o) * inputs + i : static_cast<std::size_t>(i) * outputs + o];
    if (gemm && n.input_size() > 2 && !n.input(2).empty()) {
      const Constant& b = constant(n, 2);
      if (b.values.size() != 1 && b.values.size() != d.bias.size()) fail(n, "wrong number of biases");
      for (std::size_t o = 0; o < d.bias.size(); ++o) d.bias[o] = beta * b.values[b.values.size() == 1 ? 0 : o];
    }
    emit(n, std::move(d), {v}, {outputs, 1, 1});
    matrix_.back() = true;
  }

  // Makes the model's output the last node and drops what does not lead to it.
  void finish() {
    if (model_.graph().output_size() != 1) fail("the model must have one output");
    const auto it = values_.find(model_.graph().output(0).name());
    if (it == values_.end()) fail("the model's output '" + model_.graph().output(0).name() + "' is not computed");
    if (it->second == 0) fail("the model's output is its input");
    keep_ancestors(network_, it->second);
    const Shape& s = network_.output_shape();
    if (s.h != 1 || s.w != 1) fail("the model's output must be a vector of scores");
  }

  const onnx::ModelProto& model_;
  Network network_;
  std::vector<bool> matrix_;  // whether a node's value is [batch, c] rather than [batch, c, h, w]
  std::int64_t batch_ = 1;    // fixed batch size of the model, if it has one
  std::map<std::string, int> values_;
  std::map<std::string, Constant> constants_;
  std::map<std::string, double> ranges_;  // of activations, from the metadata
  std::set<std::string> ranged_;          // which of them have a node
  std::vector<double> stated_;            // the same by node
};

}  // namespace

Network import_onnx(const std::filesystem::path& path) {
  std::error_code ec;
  if (std::filesystem::exists(path, ec) && !std::filesystem::is_regular_file(path, ec))
    throw Error(ErrorCode::bad_input, path.string() + ": not a regular file");
  const auto size = std::filesystem::file_size(path, ec);
  if (ec) throw Error(ErrorCode::bad_input, path.string() + ": cannot read the model: " + ec.message());
  if (size > kMaxFile) throw Error(ErrorCode::bad_input, path.string() + ": the model is larger than 1 GiB");
  std::ifstream file(path, std::ios::binary);
  onnx::ModelProto model;
  if (!file || !model.ParseFromIstream(&file) || !model.has_graph())
    throw Error(ErrorCode::bad_input, path.string() + ": not an ONNX model, or truncated or damaged");
  try {
    Network network = Importer(model).run();
    network.name = readable_text(path.filename().string());
    for (Node& node : network.nodes) node.name = readable_text(node.name);
    for (std::string& name : network.classes) name = readable_text(name);
    return network;
  } catch (const Error& e) {
    throw Error(e.code(), path.string() + ": " + e.what());
  }
}

}  // namespace sotto::graph
