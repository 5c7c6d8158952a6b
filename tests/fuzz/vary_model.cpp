#include <onnx/onnx_pb.h>

#include <random>
#include <string>
#include <vector>

#include "fuzz/vary.h"

namespace sotto::fuzz {

namespace {

using google::protobuf::FieldDescriptor, google::protobuf::Message;
using Random = std::mt19937;

// Every message in it.
void collect(Message& message, std::vector<Message*>& all) {
  all.push_back(&message);
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* f : fields) {
    if (f->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!f->is_repeated()) {
      collect(*message.GetReflection()->MutableMessage(&message, f), all);
      continue;
    }
    for (int k = 0; k < message.GetReflection()->FieldSize(message, f); ++k)
      collect(*message.GetReflection()->MutableRepeatedMessage(&message, f, k), all);
  }
}

constexpr const char* kOperators[] = {"Conv",
                                      "BatchNormalization",
                                      "Gemm",
                                      "MatMul",
                                      "AveragePool",
                                      "GlobalAveragePool",
                                      "ReduceMean",
                                      "Add",
                                      "Sub",
                                      "Mul",
                                      "Div",
                                      "Pow",
                                      "MaxPool",
                                      "Pad",
                                      "Concat",
                                      "Slice",
                                      "Split",
                                      "Gather",
                                      "Transpose",
                                      "Flatten",
                                      "Reshape",
                                      "Squeeze",
                                      "Unsqueeze",
                                      "Identity",
                                      "Cast",
                                      "Relu",
                                      "Clip",
                                      "LeakyRelu",
                                      "PRelu",
                                      "Sigmoid",
                                      "Erf",
                                      "Where",
                                      "Shape",
                                      "Constant",
                                      "ConstantOfShape",
                                      "Expand",
                                      "Softmax",
                                      "HardSwish",
                                      "Range"};

std::int64_t strange_integer(std::int64_t old, Random& random) {
  const std::int64_t values[] = {0, 1, -1, 2, 3, old + 1, old - 1, old * 2, INT32_MAX, INT64_MAX, INT64_MIN, 1 << 20};
  return values[random() % std::size(values)];
}

std::string strange_text(const std::string& old, Random& random) {
  if (random() % 2 == 0) return kOperators[random() % std::size(kOperators)];
  const char* values[] = {"", "x", "y", "w", "pads", "strides", "axes", "axis", "perm", "SAME_UPPER", "VALID"};
  return random() % 3 == 0 ? old + old : values[random() % std::size(values)];
}

// One field of a message gets another value, comes twice, or goes.
void vary(Message& message, Random& random) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  if (fields.empty()) return;
  const FieldDescriptor* f = fields[random() % fields.size()];
  const int count = f->is_repeated() ? reflection.FieldSize(message, f) : 1;
  const int at = f->is_repeated() ? static_cast<int>(random() % static_cast<unsigned>(count)) : 0;
  if (random() % 6 == 0) {
    if (f->is_repeated())
      reflection.RemoveLast(&message, f);
    else
      reflection.ClearField(&message, f);
    return;
  }
  if (f->is_repeated() && count > 1 && random() % 4 == 0) {
    reflection.SwapElements(&message, f, at, static_cast<int>(random() % static_cast<unsigned>(count)));
    return;
  }
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      if (f->is_repeated())
        reflection.SetRepeatedInt64(&message, f, at,
                                    strange_integer(reflection.GetRepeatedInt64(message, f, at), random));
      else
        reflection.SetInt64(&message, f, strange_integer(reflection.GetInt64(message, f), random));
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      if (f->is_repeated())
        reflection.SetRepeatedInt32(&message, f, at, static_cast<std::int32_t>(random()));
      else
        reflection.SetInt32(&message, f, static_cast<std::int32_t>(random() % 24));
      break;
    case FieldDescriptor::CPPTYPE_FLOAT: {
      const float values[] = {0, 1, -1, 0.5F, 1e30F, -1e-30F, 1 / 0.0F, 255};
      const float value = values[random() % std::size(values)];
      f->is_repeated() ? reflection.SetRepeatedFloat(&message, f, at, value) : reflection.SetFloat(&message, f, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      if (!f->is_repeated()) reflection.SetEnumValue(&message, f, static_cast<int>(random() % 20));
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      if (f->is_repeated())
        reflection.SetRepeatedString(&message, f, at,
                                     strange_text(reflection.GetRepeatedString(message, f, at), random));
      else
        reflection.SetString(&message, f, strange_text(reflection.GetString(message, f), random));
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (f->is_repeated()) reflection.AddMessage(&message, f)->CopyFrom(reflection.GetRepeatedMessage(message, f, at));
      break;
    default:
      break;
  }
}

}  // namespace

std::size_t vary_model(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, VaryBytes vary_bytes) {
  Random random(seed);
  onnx::ModelProto model;
  if (random() % 8 == 0 || !model.ParseFromArray(data, static_cast<int>(size))) return vary_bytes(data, size, most);
  std::vector<Message*> all;
  for (std::size_t k = 1 + random() % 3; k > 0; --k) {
    all.clear();
    collect(model, all);
    vary(*all[random() % all.size()], random);
  }
  const std::string text = model.SerializeAsString();
  if (text.size() > most) return vary_bytes(data, size, most);
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

}  // namespace sotto::fuzz
