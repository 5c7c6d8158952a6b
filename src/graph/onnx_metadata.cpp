#include "graph/onnx_metadata.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "wire/json_text.h"

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
    const char *first = part.data() + (part.starts_with('+') ? 1 : 0), *last = part.data() + part.size();
    const auto [end, error] = std::from_chars(first, last, values.emplace_back());  // in any locale
    if (error != std::errc{} || end != last || !std::isfinite(values.back()))
      fail(std::string("metadata ").append(key).append(" holds '").append(part).append("', not a number"));
  }
  if (values.size() == 1) values.resize(channels, values[0]);
  if (values.size() != channels) fail("metadata " + key + " must have one number per input channel");
  return values;
}

// Pixels in [0, 1] have a mean within it and a deviation of at most 0.5; networks are also fed [-1, 1] (0.5, 0.5), raw
// pixels (0, 1/255) and the like. What is far outside is meant for pixels in [0, 255].
constexpr double kLeastMean = -0.5, kMostMean = 1.5, kMostStd = 4;

void check_units(const Network& network) {
  for (std::size_t c = 0; c < network.mean.size(); ++c) {
    const double mean = network.mean[c], std = network.std[c];
    if (!(std > 0)) fail("metadata sotto.std must be positive");
    const bool mean_fits = mean >= kLeastMean && mean <= kMostMean;
    if (mean_fits && std <= kMostStd) continue;
    std::ostringstream text;
    text << "metadata " << (mean_fits ? "sotto.std" : "sotto.mean") << " holds " << (mean_fits ? std : mean)
         << ", which only pixels of 0 to 255 can have; Sotto's pixels are 0 to 1: divide mean and std by 255";
    fail(text.str());
  }
}

// What the network does to its input first, if that is scale * x + shift, undoes pixels of 0 to 255.
bool expects_raw_pixels(const Network& network) {
  for (std::size_t k = 1; k < network.nodes.size(); ++k) {
    const Node& n = network.nodes[k];
    const auto* a = std::get_if<ChannelAffine>(&n.op);
    if (n.inputs != std::vector<int>{0} || a == nullptr) continue;
    for (std::size_t c = 0; c < a->scale.size(); ++c)
      if (a->scale[c] != 0 && (std::abs(a->scale[c]) < 1 / kMostStd || a->shift[c] / a->scale[c] < -kMostMean))
        return true;
  }
  return false;
}

void set_raw(const onnx::ModelProto& model, Network& network) {
  constexpr double kPixel = 1.0 / 255;
  const bool stated = find(model, "sotto.mean") != nullptr || find(model, "sotto.std") != nullptr;
  for (std::size_t c = 0; c < network.mean.size() && stated; ++c)
    if (std::abs(network.mean[c]) > 1e-6 || std::abs(network.std[c] - kPixel) > 1e-3 * kPixel)
      fail(
          "its input takes integers, pixels of 0 to 255 as they are, but metadata sotto.mean and sotto.std state "
          "something "
          "else; leave them out");
  network.mean.assign(network.mean.size(), 0);
  network.std.assign(network.std.size(), kPixel);
}

void note_preprocessing(const onnx::ModelProto& model, bool raw, Network& network) {
  const bool mean = find(model, "sotto.mean") != nullptr, std = find(model, "sotto.std") != nullptr;
  std::string text;
  if (raw)
    text = "the model's input takes integers: pixels are fed as 0..255";
  else if (!mean && !std)
    text = "the model states no preprocessing: pixels are fed as 0..1";
  else if (!mean || !std)
    text = std::string("the model states no ") + (mean ? "std: 1" : "mean: 0") + " is taken";
  if (!raw && (!mean || !std))
    text += "; if it was trained otherwise, write its mean and std with scripts/add_metadata.py";
  if (!text.empty()) network.notes.push_back(text);
  const bool large = std::ranges::any_of(network.std, [](double s) { return s < 0.02; });
  if (!raw && !large && expects_raw_pixels(network))
    network.notes.push_back(
        "the network itself scales its input as if it were pixels of 0..255; if that is what it was "
        "trained on, write --mean 0 --std 0.0039215686 with scripts/add_metadata.py");
}

}  // namespace

void read_metadata(const onnx::ModelProto& model, bool raw, Network& network) {
  const auto channels = static_cast<std::size_t>(network.input_shape().c);
  network.mean = per_channel(model, "sotto.mean", channels, 0);
  network.std = per_channel(model, "sotto.std", channels, 1);
  check_units(network);
  if (raw) set_raw(model, network);
  note_preprocessing(model, raw, network);
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
  constexpr wire::JsonLimits kLimits{std::size_t{4} << 20, 1 << 17, 1 << 17, 2};
  const auto json = wire::parse_json(*text, kLimits);
  if (!json.is_object()) fail("metadata sotto.relu_ranges is not a JSON object of names and numbers");
  for (const auto& [name, range] : json.items()) {
    if (!range.is_number() || !(range.get<double>() > 0) || !std::isfinite(range.get<double>()))
      fail("metadata sotto.relu_ranges: the range of '" + name + "' is not a positive number");
    ranges[name] = range.get<double>();
  }
  return ranges;
}

}  // namespace sotto::graph
