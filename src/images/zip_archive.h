#pragma once

#include <memory>
#include <vector>

#include "images/byte_stream.h"

namespace sotto::images {

/// A ZIP file as NumPy writes it: members stored or deflated, of less than 4 GiB. Everything throws Error{bad_input}.
class ZipArchive {
 public:
  struct Member {
    std::string name;
    std::uint32_t method = 0, checksum = 0;
    std::uint64_t packed = 0, bytes = 0, header = 0;
  };

  explicit ZipArchive(const std::filesystem::path& path);

  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  [[nodiscard]] const std::string& name() const { return file_->name(); }
  /// The bytes of a member; reading them to the end checks its length and its checksum.
  [[nodiscard]] std::unique_ptr<ByteStream> open(const Member& member) const;

 private:
  std::shared_ptr<const InputFile> file_;
  std::vector<Member> members_;
};

}  // namespace sotto::images
