#include "client/input_record.h"

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
  if (colon == std::string::npos || !source.starts_with("cifar") || source.find('/') < colon) return fs::absolute(source).string();
  return source.substr(0, colon + 1) + fs::absolute(source.substr(colon + 1)).string();
}

}  // namespace

void write_input_record(const fs::path& dir, const std::string& id, const InputRecord& record) {
  std::error_code error;
  fs::create_directories(dir / "inputs", error);
  if (error) throw Error(ErrorCode::bad_input, "cannot make the folder " + (dir / "inputs").string() + ": " + error.message());
  nlohmann::json sources = nlohmann::json::array();
  for (const auto& s : record.sources) sources.push_back(absolute_source(s));
  const std::string text = nlohmann::json{{"sources", sources}, {"start", record.start}, {"count", record.count}, {"digest", record.digest}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
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
    return InputRecord{wire::texts(j, "sources", 1 << 20), static_cast<std::size_t>(wire::integer(j, "start", 0, INT64_MAX)),
                       static_cast<std::size_t>(wire::integer(j, "count", 1, INT64_MAX)), wire::text(j, "digest")};
  } catch (const Error&) {
    return {};
  }
}

}  // namespace sotto::client
