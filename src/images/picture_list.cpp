#include "images/picture_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <system_error>

#include "base/error.h"
#include "base/shortage.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostFolders = 1'000'000;  // links can make a small tree look endless

// Kinds of what is skipped, beside formats by their names.
const std::string kOther = "other", kLoop = "loop";

[[noreturn]] void unreadable(const fs::path& path, const std::string& why, ErrorCode code = ErrorCode::bad_input) {
  throw Error(code, "cannot read " + path.string() + ": " + why);
}
[[noreturn]] void unreadable(const fs::path& path, const std::error_code& error) {
  unreadable(path, error.message(), code_of(error.value()));
}

// What kind of file a name promises: empty for one that is read, else the kind to report.
std::string skipped_kind(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (ending == ".png" || ending == ".jpg" || ending == ".jpeg") return "";
  static const std::map<std::string, std::string> kinds = {
      {".bmp", "BMP"},   {".webp", "WebP"}, {".gif", "GIF"},   {".tif", "TIFF"}, {".tiff", "TIFF"},
      {".heic", "HEIC"}, {".heif", "HEIC"}, {".avif", "AVIF"}, {".ppm", "PPM"},  {".pgm", "PGM"}};
  const auto found = kinds.find(ending);
  return found == kinds.end() ? kOther : found->second;
}

class Walk {
 public:
  // Adds what lies below the folder; `prefix` is the way to it from the one that was given.
  void add(const fs::path& folder, const fs::path& prefix) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) unreadable(folder, error);
    if (std::find(open_.begin(), open_.end(), real) != open_.end()) {
      count(kLoop, prefix);
      return;
    }
    if (++folders_ > kMostFolders) unreadable(folder, "too many folders; do links lead in circles?");
    open_.push_back(real);
    std::vector<fs::path> names;
    fs::directory_iterator entries(folder, error);
    if (error) unreadable(folder, error);
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
      names.push_back(entries->path().filename());
      if (error) break;
    }
    if (error) unreadable(folder, error);
    std::sort(names.begin(), names.end());
    for (const fs::path& name : names)
      if (!name.string().starts_with('.')) add_entry(folder / name, prefix / name);
    open_.pop_back();
  }

  std::vector<PictureList::Entry> found;

  [[nodiscard]] std::string skipped() const {
    std::string text;
    for (const auto& [kind, seen] : skipped_) {
      const bool one = seen.count == 1;
      const std::string words = kind == kOther  ? one ? "other file" : "other files"
                                : kind == kLoop ? one ? "link that leads back up" : "links that lead back up"
                                                : kind;
      text +=
          fmt::format("{}{} {} ({}{})", text.empty() ? "" : ", ", seen.count, words, seen.first, one ? "" : ", ...");
    }
    return text;
  }

 private:
  struct Seen {
    std::size_t count = 0;
    std::string first;
  };

  void count(const std::string& kind, const fs::path& name) {
    Seen& seen = skipped_[kind];
    if (seen.count++ == 0) seen.first = name.string();
  }

  void add_entry(const fs::path& path, const fs::path& name) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    const std::string kind = skipped_kind(path);
    if (fs::is_directory(status)) return add(path, name);
    if (kind.empty() && !fs::exists(status))
      unreadable(path,
                 error && error != std::errc::no_such_file_or_directory ? error.message() : "it is a link to nothing");
    if (kind.empty() && fs::is_regular_file(status))
      found.push_back({path, name.string()});
    else
      count(kind.empty() ? kOther : kind, name);
  }

  std::vector<fs::path> open_;  // from the folder that was given to the one that is being read
  std::size_t folders_ = 0;
  std::map<std::string, Seen> skipped_;
};

void make_names_distinct(std::vector<PictureList::Entry>& entries) {
  std::vector<fs::path> paths;
  for (const auto& e : entries) paths.push_back(fs::absolute(e.path).lexically_normal());
  std::map<std::string, fs::path> named;
  bool distinct = true;  // the same file twice may have one name
  for (std::size_t k = 0; k < paths.size(); ++k)
    distinct = named.emplace(entries[k].name, paths[k]).first->second == paths[k] && distinct;
  if (distinct) return;
  fs::path common = paths.front().parent_path();
  for (const fs::path& path : paths) {
    const auto [end, unused] = std::mismatch(common.begin(), common.end(), path.begin(), path.end());
    fs::path shared;
    for (auto part = common.begin(); part != end; ++part) shared /= *part;
    common = shared;
  }
  for (std::size_t k = 0; k < paths.size(); ++k) entries[k].name = paths[k].lexically_relative(common).string();
}

}  // namespace

PictureList list_pictures(const std::vector<std::string>& sources) {
  PictureList list;
  Walk walk;
  for (const std::string& source : sources) {
    std::error_code error;
    const fs::file_status status = fs::status(source, error);
    if (!fs::exists(status)) {
      const bool missing = !error || error == std::errc::no_such_file_or_directory;
      unreadable(source, missing
                             ? "no such file or folder; a data source is cifar10:DIR, cifar100:DIR, mnist:DIR (test "
                               "images), cifar10-train:DIR and so on, FILE.npy, FILE.npz, or PNG and JPEG files or "
                               "folders of them"
                             : error.message());
    }
    if (fs::is_directory(status)) {
      walk.add(source, {});
      continue;
    }
    if (!fs::is_regular_file(status)) unreadable(source, "it is not a regular file");
    walk.found.push_back({source, fs::path(source).filename().string()});
  }
  list.entries = std::move(walk.found);
  list.skipped = walk.skipped();
  make_names_distinct(list.entries);
  return list;
}

}  // namespace sotto::images
