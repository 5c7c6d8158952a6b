#include "graph/onnx_metadata.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"

namespace sotto::graph {
namespace {

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

const std::string* find(const onnx::ModelProto& model, const std::string& key) {
  for (const auto& p : model.metadata_props())
    if (p.key() == key) return &p.value();
  return nullptr;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const auto first = part.find_first_not_of(" \t\n"), last = part.find_last_not_of(" \t\n");
    parts.push_back(first == std::string::npos ? "" : part.substr(first, last - first + 1));
  }
  return parts;
}

std::vector<double> per_channel(const onnx::ModelProto& model, const std::string& key, std::size_t channels,
                                double otherwise) {
  const std::string* text = find(model, key);
  if (text == nullptr) return std::vector<double>(channels, otherwise);
  std::vector<double> values;
  for (const std::string& part : split(*text)) {
    char* end = nullptr;
    values.push_back(std::strtod(part.c_str(), &end));
    if (part.empty() || *end != '\0' || !std::isfinite(values.back()))
      fail(std::string("metadata ").append(key).append(" holds '").append(part).append("', not a number"));
  }
  if (values.size() != channels) fail("metadata " + key + " must have one number per input channel");
  return values;
}

}  // namespace

void read_metadata(const onnx::ModelProto& model, Network& network) {
  const auto channels = static_cast<std::size_t>(network.input_shape().c);
  network.mean = per_channel(model, "sotto.mean", channels, 0);
  network.std = per_channel(model, "sotto.std", channels, 1);
  for (double s : network.std)
    if (!(s > 0)) fail("metadata sotto.std must be positive");
  const std::string* classes = find(model, "sotto.classes");
  if (classes == nullptr) return;
  network.classes = split(*classes);
  const auto scores = static_cast<std::size_t>(network.output_shape().c);
  if (!network.classes.empty() && network.classes.size() != scores)
    fail("metadata sotto.classes names " + std::to_string(network.classes.size()) + " classes, the output has " +
         std::to_string(scores));
}

std::map<std::string, double> read_relu_ranges(const onnx::ModelProto& model) {
  std::map<std::string, double> ranges;
  const std::string* text = find(model, "sotto.relu_ranges");
  if (text == nullptr) return ranges;
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) fail("metadata sotto.relu_ranges is not a JSON object of names and numbers");
  for (const auto& [name, range] : json.items()) {
    if (!range.is_number() || !(range.get<double>() > 0) || !std::isfinite(range.get<double>()))
      fail("metadata sotto.relu_ranges: the range of '" + name + "' is not a positive number");
    ranges[name] = range.get<double>();
  }
  return ranges;
}

}  // namespace sotto::graph
