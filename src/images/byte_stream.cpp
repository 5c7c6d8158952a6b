#include "images/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/shortage.h"
#include "images/refuse.h"

namespace sotto::images {

void ByteStream::fill(std::span<unsigned char> dst) {
  if (read(dst) != dst.size()) refuse(name(), "it is truncated");
}

void ByteStream::skip(std::uint64_t bytes) {
  std::vector<unsigned char> piece(std::min<std::uint64_t>(bytes, 1 << 16));
  while (bytes > 0) {
    const auto part = std::span(piece).first(std::min<std::uint64_t>(bytes, piece.size()));
    fill(part);
    bytes -= part.size();
  }
}

void ByteStream::expect_end() {
  unsigned char more = 0;
  if (read({&more, 1}) != 0) refuse(name(), "it is longer than it says");
}

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is refused, not waited for
  if (fd_ < 0) throw Error(code_of(errno), "cannot read " + name_ + ": " + std::strerror(errno));
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(std::exchange(fd_, -1));
    throw Error(ErrorCode::bad_input, "cannot read " + name_ + ": it is not a regular file");
  }
  bytes_ = static_cast<std::uint64_t>(info.st_size);
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::size_t InputFile::read_at(std::uint64_t offset, std::span<unsigned char> dst) const {
  std::size_t filled = 0;
  while (filled < dst.size()) {
    const ssize_t done = ::pread(fd_, dst.data() + filled, dst.size() - filled, static_cast<off_t>(offset + filled));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw Error(ErrorCode::bad_input, "cannot read " + name_ + ": " + std::strerror(errno));
    if (done == 0) break;
    filled += static_cast<std::size_t>(done);
  }
  return filled;
}

namespace {

class FileStream : public ByteStream {
 public:
  FileStream(std::shared_ptr<const InputFile> file, std::uint64_t offset, std::uint64_t bytes)
      : file_(std::move(file)), offset_(offset), end_(offset + bytes) {}

  std::size_t read(std::span<unsigned char> dst) override {
    const std::size_t done = file_->read_at(offset_, dst.first(std::min<std::uint64_t>(dst.size(), end_ - offset_)));
    offset_ += done;
    return done;
  }
  [[nodiscard]] const std::string& name() const override { return file_->name(); }

 private:
  std::shared_ptr<const InputFile> file_;
  std::uint64_t offset_, end_;
};

class InflateStream : public ByteStream {
 public:
  InflateStream(std::unique_ptr<ByteStream> packed, Compression compression)
      : packed_(std::move(packed)), buffer_(1 << 16) {
    const int started = inflateInit2(&zlib_, compression == Compression::gzip ? 16 + MAX_WBITS : -MAX_WBITS);
    if (started == Z_MEM_ERROR) throw std::bad_alloc();
    check(started == Z_OK, "zlib does not start");
  }
  ~InflateStream() override { inflateEnd(&zlib_); }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  std::size_t read(std::span<unsigned char> dst) override {
    std::size_t filled = 0;
    while (filled < dst.size() && !ended_) {
      if (zlib_.avail_in == 0) {
        zlib_.avail_in = static_cast<uInt>(packed_->read(buffer_));
        zlib_.next_in = buffer_.data();
      }
      const bool exhausted = zlib_.avail_in == 0;  // zlib may still have something to give
      const std::size_t part = std::min<std::size_t>(dst.size() - filled, 1 << 30);
      zlib_.next_out = dst.data() + filled;
      zlib_.avail_out = static_cast<uInt>(part);
      const int status = inflate(&zlib_, Z_NO_FLUSH);
      filled += part - zlib_.avail_out;
      if (status == Z_STREAM_END)
        ended_ = true;
      else if (status != Z_OK && status != Z_BUF_ERROR)
        refuse(name(), "it is damaged (its compressed data are wrong)");
      else if (exhausted && zlib_.avail_out == part)
        refuse(name(), "it is truncated");
    }
    return filled;
  }
  [[nodiscard]] const std::string& name() const override { return packed_->name(); }

 private:
  std::unique_ptr<ByteStream> packed_;
  std::vector<unsigned char> buffer_;
  z_stream zlib_{};
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> stream_of(std::shared_ptr<const InputFile> file, std::uint64_t offset,
                                      std::uint64_t bytes) {
  return std::make_unique<FileStream>(std::move(file), offset, bytes);
}

std::unique_ptr<ByteStream> inflated(std::unique_ptr<ByteStream> packed, Compression compression) {
  return std::make_unique<InflateStream>(std::move(packed), compression);
}

std::unique_ptr<ByteStream> open_stream(const std::filesystem::path& path) {
  const auto file = std::make_shared<const InputFile>(path);
  unsigned char start[2] = {};
  const bool packed = file->read_at(0, start) == 2 && start[0] == 0x1f && start[1] == 0x8b;
  auto stream = stream_of(file, 0, file->bytes());
  return packed ? inflated(std::move(stream), Compression::gzip) : std::move(stream);
}

std::vector<unsigned char> read_file(const std::filesystem::path& path, std::uint64_t most) {
  const InputFile file(path);
  if (file.bytes() > most) refuse(file.name(), "it is larger than " + std::to_string(most >> 20) + " MiB");
  std::vector<unsigned char> bytes(file.bytes());
  if (file.read_at(0, bytes) != bytes.size()) refuse(file.name(), "it is truncated");
  return bytes;
}

}  // namespace sotto::images
