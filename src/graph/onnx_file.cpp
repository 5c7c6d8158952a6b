#include "graph/onnx_file.h"

#include <charconv>
#include <fstream>

#include "base/error.h"
#include "base/file.h"

namespace sotto::graph {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFile = std::uintmax_t{1} << 30;  // also of one tensor

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::bad_input, message); }

std::uintmax_t number(const std::string& text, const std::string& what) {
  std::uintmax_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(what + ": '" + text + "' is no place in an external file");
  return value;
}

bool plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find('\0') == std::string::npos;
}

}  // namespace

onnx::ModelProto read_model(const Source& source) {
  onnx::ModelProto model;
  if (const auto bytes = source.bytes()) {
    if (bytes->size() > kMaxFile) fail("the model is larger than 1 GiB");
    if (!model.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())) || !model.has_graph())
      fail("not an ONNX model, or truncated or damaged");
    return model;
  }
  const fs::path& path = *source.path();
  std::error_code ec;
  if (fs::exists(path, ec) && !fs::is_regular_file(path, ec)) fail("not a regular file");
  const auto size = fs::file_size(path, ec);
  if (ec) fail("cannot read the model: " + ec.message());
  if (size > kMaxFile) fail("the model is larger than 1 GiB");
  std::ifstream file = open_to_read(path);
  if (!file || !model.ParseFromIstream(&file) || !model.has_graph()) fail("not an ONNX model, or truncated or damaged");
  return model;
}

std::string ExternalData::read(const onnx::TensorProto& tensor, const std::string& what) const {
  if (!allowed_) fail(what + ": its data lie in another file");
  std::string location, offset = "0", length;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = entry.value();
    if (entry.key() == "length") length = entry.value();
  }
  if (location.rfind("./", 0) == 0) location.erase(0, 2);
  if (!plain_name(location))
    fail(what + ": its data lie at '" + location + "'; they must lie in a file beside the model");
  std::error_code ec;
  const fs::path folder = fs::canonical(folder_.empty() ? fs::path(".") : folder_, ec), path = folder / location;
  const fs::path real = fs::canonical(path, ec);
  if (ec || !fs::is_regular_file(real, ec))
    fail(what + ": cannot read its data from " + location + ", which must lie beside the model");
  if (real.parent_path() != folder) fail(what + ": " + location + " is a link that leaves the model's folder; copy it");
  const std::uintmax_t size = fs::file_size(real, ec), first = number(offset, what);
  if (ec || first > size) fail(what + ": " + location + " is too short");
  const std::uintmax_t count = length.empty() ? size - first : number(length, what);
  if (count > size - first) fail(what + ": " + location + " is too short");
  if (count > kMaxFile) fail(what + ": more than 1 GiB");
  std::string bytes(count, '\0');
  std::ifstream file = open_to_read(real);
  if (!file || !file.seekg(static_cast<std::streamoff>(first)) ||
      !file.read(bytes.data(), static_cast<std::streamsize>(count)))
    fail(what + ": cannot read its data from " + location);
  return bytes;
}

}  // namespace sotto::graph
