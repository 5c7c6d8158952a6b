#include "wire/outputs.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "wire/atomic_file.h"

namespace sotto::wire {

void require_writable(const std::filesystem::path& path, std::optional<Kind> kind) {
  if (!path.empty()) AtomicFile(path, Access::everyone, kind);
}

namespace {

std::filesystem::path place_of(const std::filesystem::path& path) {
  return std::filesystem::weakly_canonical(std::filesystem::absolute(output_target(path)));
}

}  // namespace

void require_distinct(const std::filesystem::path& a, const std::filesystem::path& b) {
  if (!a.empty() && !b.empty() && place_of(a) == place_of(b))
    throw Error(ErrorCode::usage, a.string() + " is named for two outputs");
}

bool require_outputs(std::span<const std::string> files, std::span<const std::string> texts) {
  std::set<std::filesystem::path> seen;
  bool standard = false;
  const auto add = [&](const std::string& path, bool text) {
    if (path.empty()) return;
    const bool streamed = text && is_standard_output(path);
    standard = standard || streamed;
    if (!streamed) require_writable(path);
    const std::filesystem::path place = streamed ? "-" : place_of(path);
    if (!seen.insert(place).second) throw Error(ErrorCode::usage, path + " is named for two outputs");
  };
  for (const std::string& path : files) add(path, false);
  for (const std::string& path : texts) add(path, true);
  return standard;
}

namespace {

bool is_picture(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

}  // namespace

void require_kept(std::span<const std::string> inputs, std::span<const std::string> outputs) {
  std::error_code none;
  for (const std::string& output : outputs) {
    if (output.empty() || !std::filesystem::is_regular_file(output, none)) continue;
    const auto target = std::filesystem::canonical(output, none);
    for (const std::string& input : inputs) {
      if (input.empty() || !std::filesystem::exists(input, none)) continue;
      const auto source = std::filesystem::canonical(input, none);
      const auto [end, rest] = std::mismatch(source.begin(), source.end(), target.begin(), target.end());
      if (end == source.end() && (rest == target.end() || is_picture(target)))
        throw Error(ErrorCode::usage, output + " is an input, too, and would be replaced; name another output");
    }
  }
}

}  // namespace sotto::wire
