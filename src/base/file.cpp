#include "base/file.h"

#include <cerrno>
#include <new>
#include <system_error>

#include "base/shortage.h"

namespace sotto {

std::ifstream open_to_read(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file && errno == ENOMEM) throw std::bad_alloc();
  if (!file && is_shortage(errno))
    throw std::filesystem::filesystem_error("cannot open", path, std::error_code(errno, std::generic_category()));
  return file;
}

}  // namespace sotto
