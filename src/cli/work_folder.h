#pragma once

#include <filesystem>
#include <string>

namespace sotto::cli {

/// A private folder (mode 0700) for keys and ciphertexts.
class WorkFolder {
 public:
  /// A temporary one, removed at the end whatever happens. Throws Error{no_resources} if it cannot be made.
  WorkFolder();
  /// One that stays, made if it is not there; an empty one that was made is removed at the end. Throws
  /// Error{bad_input} if it cannot be made or written to.
  explicit WorkFolder(std::filesystem::path path);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
  bool temporary_ = false, made_ = false;
};

}  // namespace sotto::cli
