#include "base/file.h"

#include <cerrno>
#include <new>

namespace sotto {

std::ifstream open_to_read(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file && errno == ENOMEM) throw std::bad_alloc();
  return file;
}

}  // namespace sotto
