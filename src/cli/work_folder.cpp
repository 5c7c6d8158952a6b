#include "cli/work_folder.h"

#include <cstdlib>

#include "base/error.h"

namespace sotto::cli {

namespace fs = std::filesystem;

WorkFolder::WorkFolder() {
  const char* base = std::getenv("TMPDIR");
  std::string name = (fs::path(base != nullptr && *base != '\0' ? base : "/tmp") / "sotto-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw Error(ErrorCode::no_resources, "cannot make a temporary folder " + name + "; set TMPDIR");
  path_ = name;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace sotto::cli
