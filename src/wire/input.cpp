#include "wire/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <istream>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/shortage.h"

namespace sotto {

Source Source::from(std::istream& stream, std::string name) {
  Bytes bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) throw Error(ErrorCode::bad_input, "cannot read " + name);
  return Source(std::move(bytes), std::move(name));
}

}  // namespace sotto

namespace sotto::wire {

Input::Input(const Source& source) : name_(source.name()), bytes_(source.bytes()) {
  if (source.path() == nullptr) {
    check(bytes_ != nullptr, "a source without bytes");
    size_ = bytes_->size();
    return;
  }
  fd_ = ::open(source.path()->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is refused, not waited for
  if (fd_ < 0) throw Error(code_of(errno), "cannot open " + name_ + ": " + std::strerror(errno));
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    fail("it is not a regular file");
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
}

Input::~Input() {
  if (fd_ >= 0) ::close(fd_);
}

void Input::fail(const std::string& what) const {
  throw Error(ErrorCode::bad_input, "cannot use " + name_ + ": " + what);
}

void Input::read_at(std::uint64_t offset, std::span<unsigned char> dst) const {
  if (offset > size_ || dst.size() > size_ - offset) fail("it is truncated");
  if (bytes_ != nullptr) {
    std::copy_n(bytes_->begin() + static_cast<std::ptrdiff_t>(offset), dst.size(), dst.begin());
    return;
  }
  while (!dst.empty()) {
    const ssize_t done = ::pread(fd_, dst.data(), dst.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(std::strerror(errno));
    if (done == 0) fail("it is truncated");
    dst = dst.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
}

}  // namespace sotto::wire
