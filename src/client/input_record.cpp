#include "client/input_record.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "client/folder_lock.h"
#include "wire/atomic_file.h"
#include "wire/fields.h"
#include "wire/json_text.h"
#include "wire/signature.h"

namespace sotto::client {

namespace fs = std::filesystem;

namespace {

const std::map<std::string, images::Fit> kFits = {{"exact", images::Fit::exact},
                                                  {"stretch", images::Fit::stretch},
                                                  {"crop", images::Fit::crop},
                                                  {"middle", images::Fit::middle}};
const std::map<std::string, images::ArrayLayout> kLayouts = {{"unstated", images::ArrayLayout::unstated},
                                                             {"nchw", images::ArrayLayout::nchw},
                                                             {"nhwc", images::ArrayLayout::nhwc}};

constexpr std::size_t kMostResults = 1000;

template <class T>
std::string name_of(const std::map<std::string, T>& names, T value) {
  for (const auto& [name, v] : names)
    if (v == value) return name;
  internal_error("a choice without a name");
}

// Throws for a word that is none of the names.
template <class T>
T choice(const nlohmann::json& j, const char* field, const std::map<std::string, T>& names) {
  const auto found = names.find(wire::text(j, field, 20));
  if (found == names.end()) throw Error(ErrorCode::bad_input, std::string("unknown ") + field);
  return found->second;
}

// File names may hold any bytes, JSON may not: those beyond ASCII are written as %XX.
std::string encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%')
      out += c;
    else
      out += '%' + to_hex({&byte, 1});
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

void write_input_record(const fs::path& dir, const std::string& id, const InputRecord& record) {
  std::error_code error;
  if (fs::create_directories(dir / "inputs", error)) fs::permissions(dir / "inputs", fs::perms::owner_all, error);
  if (error)
    throw Error(ErrorCode::bad_input, "cannot make the folder " + (dir / "inputs").string() + ": " + error.message());
  nlohmann::json sources = nlohmann::json::array();
  for (const auto& s : record.sources) sources.push_back(encoded(images::absolute_source(s)));
  const std::string text = nlohmann::json{{"sources", sources},
                                          {"start", record.start},
                                          {"count", record.count},
                                          {"digest", record.digest},
                                          {"fit", name_of(kFits, record.fit)},
                                          {"layout", name_of(kLayouts, record.layout)},
                                          {"input_digest", record.input_digest},
                                          {"results", record.results}}
                               .dump(2) +
                           "\n";
  wire::AtomicFile file(dir / "inputs" / (id + ".json"), wire::Access::owner_only);
  file.write({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
  file.commit();
}

std::optional<InputRecord> read_input_record(const fs::path& dir, const std::string& id) {
  // The id comes from a file of the server: it must not name another place.
  if (id.size() != 32 || id.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
  constexpr wire::JsonLimits kLimits{std::size_t{64} << 20, 1 << 21, 1 << 21};
  const fs::path path = dir / "inputs" / (id + ".json");
  std::error_code unknown;
  if (fs::symlink_status(path, unknown).type() == fs::file_type::not_found) return {};
  try {
    if (!fs::is_regular_file(path, unknown) || !(fs::file_size(path, unknown) <= kLimits.bytes))
      throw Error(ErrorCode::bad_input, "no file, or too large");
    std::ifstream file = open_to_read(path);
    const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto j = wire::parse_json(content, kLimits);
    if (!file || j.is_discarded()) throw Error(ErrorCode::bad_input, "no JSON");
    std::vector<std::string> sources;
    for (const std::string& s : wire::texts(j, "sources", 1 << 20)) sources.push_back(decoded(s));
    InputRecord record{std::move(sources),
                       static_cast<std::size_t>(wire::integer(j, "start", 0, INT64_MAX)),
                       static_cast<std::size_t>(wire::integer(j, "count", 1, INT64_MAX)),
                       wire::text(j, "digest"),
                       choice(j, "fit", kFits),
                       choice(j, "layout", kLayouts),
                       wire::text(j, "input_digest", 64),
                       wire::texts(j, "results", kMostResults)};
    if (!record.input_digest.empty() && !wire::checksum_of(record.input_digest))
      throw Error(ErrorCode::bad_input, "no digest");
    return record;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::bad_input) throw;
    throw Error(ErrorCode::bad_input, "the note of what was encrypted, " + path.string() + ", cannot be read");
  }
}

Seen remember_result(const fs::path& dir, const std::string& id, const std::string& digest,
                     const std::function<void()>& waiting) {
  if (!read_input_record(dir, id)) return Seen::never;
  const FolderLock lock(dir / "inputs", FolderLock::IfHeld::wait, waiting);  // results of other programs stay
  std::optional<InputRecord> record = read_input_record(dir, id);
  if (!record) return Seen::never;
  if (std::ranges::count(record->results, digest) > 0) return Seen::these;
  const Seen seen = record->results.empty() ? Seen::never : Seen::others;
  if (record->results.size() < kMostResults) {
    record->results.push_back(digest);
    write_input_record(dir, id, *record);
  }
  return seen;
}

}  // namespace sotto::client
