#include "images/zip_archive.h"

#include <zlib.h>

#include <algorithm>

#include "images/refuse.h"

namespace sotto::images {

namespace {

// Record lengths, without names and comments (APPNOTE.TXT 4.3).
constexpr std::size_t kEnd = 22, kCentral = 46, kLocal = 30, kMostComment = 65535;
constexpr std::uint32_t kEndMagic = 0x06054b50, kCentralMagic = 0x02014b50, kLocalMagic = 0x04034b50;
constexpr std::size_t kMostMembers = 1000;

std::uint32_t number(std::span<const unsigned char> bytes, std::size_t at, int size) {
  std::uint32_t value = 0;
  for (int k = size - 1; k >= 0; --k) value = value << 8 | bytes[at + static_cast<std::size_t>(k)];
  return value;
}

// Passes bytes on and compares length and checksum at the end.
class CheckedStream : public ByteStream {
 public:
  CheckedStream(std::unique_ptr<ByteStream> inner, const ZipArchive::Member& member)
      : inner_(std::move(inner)), left_(member.bytes), expected_(member.checksum) {}

  std::size_t read(std::span<unsigned char> dst) override {
    const auto wanted = dst.first(std::min<std::uint64_t>(dst.size(), left_));
    inner_->fill(wanted);
    found_ = static_cast<std::uint32_t>(crc32_z(found_, wanted.data(), wanted.size()));
    left_ -= wanted.size();
    if (left_ == 0 && !checked_) {
      checked_ = true;
      inner_->expect_end();
      if (found_ != expected_) refuse(name(), "it is damaged (a checksum is wrong)");
    }
    return wanted.size();
  }
  [[nodiscard]] const std::string& name() const override { return inner_->name(); }

 private:
  std::unique_ptr<ByteStream> inner_;
  std::uint64_t left_;
  std::uint32_t expected_, found_ = 0;
  bool checked_ = false;
};

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path) : file_(std::make_shared<const InputFile>(path)) {
  const auto broken = [&] { refuse(name(), "it is not a ZIP file as NumPy writes it (.npz), or it is truncated"); };
  const std::uint64_t size = file_->bytes();
  std::vector<unsigned char> tail(std::min<std::uint64_t>(size, kEnd + kMostComment));
  if (tail.size() < kEnd || file_->read_at(size - tail.size(), tail) != tail.size()) broken();
  std::size_t at = tail.size() - kEnd;
  while (number(tail, at, 4) != kEndMagic || at + kEnd + number(tail, at + 20, 2) != tail.size())
    if (at-- == 0) broken();
  const std::uint64_t count = number(tail, at + 10, 2), bytes = number(tail, at + 12, 4),
                      start = number(tail, at + 16, 4);
  if (count > kMostMembers) refuse(name(), "it has more than " + std::to_string(kMostMembers) + " members");
  if (start + bytes > size) broken();
  std::vector<unsigned char> directory(bytes);
  if (file_->read_at(start, directory) != bytes) broken();
  for (std::size_t k = 0, p = 0; k < count; ++k) {
    if (p + kCentral > bytes || number(directory, p, 4) != kCentralMagic) broken();
    const std::size_t length = number(directory, p + 28, 2);
    const std::size_t next = p + kCentral + length + number(directory, p + 30, 2) + number(directory, p + 32, 2);
    if (next > bytes) broken();
    const auto text = directory.begin() + static_cast<std::ptrdiff_t>(p + kCentral);
    Member member{std::string(text, text + static_cast<std::ptrdiff_t>(length)),
                  number(directory, p + 10, 2),
                  number(directory, p + 16, 4),
                  number(directory, p + 20, 4),
                  number(directory, p + 24, 4),
                  number(directory, p + 42, 4)};
    if ((number(directory, p + 8, 2) & 1) != 0) refuse(name(), "it is encrypted; save it again with NumPy");
    if (member.method != 0 && member.method != 8) refuse(name(), "it is packed in another way than NumPy does");
    if (member.packed == 0xffffffff || member.bytes == 0xffffffff || member.header == 0xffffffff)
      refuse(name(), "an array of it takes 4 GiB or more; save that alone, as .npy");
    members_.push_back(std::move(member));
    p = next;
  }
}

std::unique_ptr<ByteStream> ZipArchive::open(const Member& member) const {
  unsigned char local[kLocal];
  if (file_->read_at(member.header, local) != kLocal || number(local, 0, 4) != kLocalMagic)
    refuse(name(), "it is damaged");
  const std::uint64_t start = member.header + kLocal + number(local, 26, 2) + number(local, 28, 2);
  if (start + member.packed > file_->bytes()) refuse(name(), "it is truncated");
  auto stream = stream_of(file_, start, member.packed);
  if (member.method == 8) stream = inflated(std::move(stream), Compression::deflate);
  return std::make_unique<CheckedStream>(std::move(stream), member);
}

}  // namespace sotto::images
