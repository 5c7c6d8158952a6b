#include "cli/work_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace sotto::cli {

namespace fs = std::filesystem;

WorkFolder::WorkFolder() : temporary_(true) {
  const char* base = std::getenv("TMPDIR");
  std::string name = (fs::path(base != nullptr && *base != '\0' ? base : "/tmp") / "sotto-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw Error(ErrorCode::no_resources, "cannot make a temporary folder " + name + "; set TMPDIR");
  path_ = name;
}

WorkFolder::WorkFolder(fs::path path) : path_(std::move(path)) {
  if (!path_.has_filename()) path_ = path_.parent_path();  // of "work/"
  const auto fail = [&](const char* what, const std::string& why) {
    throw Error(ErrorCode::bad_input, std::string("cannot ") + what + " the folder " + path_.string() + ": " + why);
  };
  std::error_code error;
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), error);
  if (error) fail("make", error.message());
  made_ = ::mkdir(path_.c_str(), 0700) == 0;
  if (!made_ && (errno != EEXIST || !fs::is_directory(path_, error))) fail("make", std::strerror(errno));
  if (::access(path_.c_str(), W_OK | X_OK) != 0) fail("write to", std::strerror(errno));
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (temporary_)
    fs::remove_all(path_, ignored);
  else if (made_)
    fs::remove(path_, ignored);  // only if it is empty
}

}  // namespace sotto::cli
