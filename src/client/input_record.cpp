#include "client/input_record.h"

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "wire/fields.h"
#include "wire/writer.h"

namespace sotto::client {

namespace fs = std::filesystem;

namespace {

// A source as it works from any folder; "cifar10:" and the like stay in front.
std::string absolute_source(const std::string& source) {
  const auto colon = source.find(':');
  if (colon == std::string::npos || !source.starts_with("cifar") || source.find('/') < colon)
    return fs::absolute(source).string();
  return source.substr(0, colon + 1) + fs::absolute(source.substr(colon + 1)).string();
}

// File names may hold any bytes, JSON may not: those beyond ASCII are written as %XX.
std::string encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%')
      out += c;
    else
      out += '%' + wire::to_hex(&byte, 1);
  }
  return out;
}

std::string decoded(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 3 > text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(std::strtol(text.substr(i + 1, 2).c_str(), nullptr, 16));
    i += 2;
  }
  return out;
}

}  // namespace

void require_input_records(const fs::path& dir) {
  std::error_code error;
  fs::create_directories(dir / "inputs", error);
  if (error)
    throw Error(ErrorCode::bad_input, "cannot make the folder " + (dir / "inputs").string() + ": " + error.message());
  wire::require_writable(dir / "inputs" / "record.json");
}

void write_input_record(const fs::path& dir, const std::string& id, const InputRecord& record) {
  require_input_records(dir);
  nlohmann::json sources = nlohmann::json::array();
  for (const auto& s : record.sources) sources.push_back(encoded(absolute_source(s)));
  const std::string text =
      nlohmann::json{{"sources", sources}, {"start", record.start}, {"count", record.count}, {"digest", record.digest}}
          .dump(2) +
      "\n";
  wire::AtomicFile file(dir / "inputs" / (id + ".json"), wire::Access::owner_only);
  file.write({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
  file.commit();
}

std::optional<InputRecord> read_input_record(const fs::path& dir, const std::string& id) {
  // The id comes from a file of the server: it must not name another place.
  if (id.size() != 32 || id.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
  std::ifstream file(dir / "inputs" / (id + ".json"));
  const auto j = nlohmann::json::parse(file, nullptr, false);
  if (!file || j.is_discarded()) return {};
  try {
    std::vector<std::string> sources;
    for (const std::string& s : wire::texts(j, "sources", 1 << 20)) sources.push_back(decoded(s));
    return InputRecord{std::move(sources), static_cast<std::size_t>(wire::integer(j, "start", 0, INT64_MAX)),
                       static_cast<std::size_t>(wire::integer(j, "count", 1, INT64_MAX)), wire::text(j, "digest")};
  } catch (const Error&) {
    return {};
  }
}

}  // namespace sotto::client
