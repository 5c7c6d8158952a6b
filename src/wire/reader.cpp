#include "wire/reader.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>

#include "base/parallel.h"
#include "base/shortage.h"
#include "wire/fields.h"
#include "wire/json_text.h"

namespace sotto::wire {

namespace {

// What stands in front of the data.
struct Start {
  nlohmann::json header;
  Checksum checksum{};
  std::uint64_t bytes = 0;
};

Start read_start(const Input& input, Kind expected) {
  check(sodium_init() >= 0, "libsodium does not start");
  const auto fail = [&](const std::string& what) { input.fail(what); };
  const std::string wanted = "a Sotto " + std::string(name_of(expected)) + " file";
  if (input.size() < kPreambleBytes) fail("it is not " + wanted + ", or it is truncated");
  unsigned char preamble[kPreambleBytes];
  input.read_at(0, preamble);
  if (std::memcmp(preamble, kMagic.data(), kMagic.size()) != 0) fail("it is not " + wanted);
  std::uint32_t version = 0, kind = 0;
  std::uint64_t length = 0;
  std::memcpy(&version, preamble + 8, 4);
  std::memcpy(&kind, preamble + 12, 4);
  std::memcpy(&length, preamble + 16, 8);
  if (version != kVersion)
    fail("its format version is " + std::to_string(version) + ", this program reads version " +
         std::to_string(kVersion));
  if (kind != static_cast<std::uint32_t>(expected))
    fail("it is a Sotto " + std::string(name_of(static_cast<Kind>(kind))) + " file, not " + wanted);
  const JsonLimits limits = header_limits(expected);
  if (length > limits.bytes || length > input.size() - kPreambleBytes) fail("it is truncated or corrupted");
  std::vector<unsigned char> text(length);
  input.read_at(kPreambleBytes, text);
  Start start;
  crypto_generichash_state hash;
  crypto_generichash_init(&hash, nullptr, 0, kChecksumBytes);
  crypto_generichash_update(&hash, preamble, 24);
  crypto_generichash_update(&hash, text.data(), text.size());
  crypto_generichash_final(&hash, start.checksum.data(), kChecksumBytes);
  if (sodium_memcmp(start.checksum.data(), preamble + 24, kChecksumBytes) != 0) fail("its header is corrupted");
  start.header = parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, limits);
  if (!start.header.is_object()) fail("its header is not valid");
  start.bytes = kPreambleBytes + length;
  return start;
}

}  // namespace

nlohmann::json read_header(const Source& source, Kind expected) { return read_start(Input(source), expected).header; }

FileReader::FileReader(const Source& source, Kind expected) : input_(source) {
  const JsonLimits limits = header_limits(expected);
  Start start = read_start(input_, expected);
  header_ = std::move(start.header);
  header_checksum_ = start.checksum;
  for (const auto& bytes : decode([&](const auto& h) -> const auto& { return list(h, "sections", limits.values); })) {
    if (!bytes.is_number_unsigned()) fail("its header is not valid");
    sections_.push_back(bytes.get<std::uint64_t>());
  }
  std::uint64_t at = start.bytes;
  for (std::uint64_t bytes : sections_) {
    offsets_.push_back(at);
    if (at > file_bytes() || bytes > file_bytes() - at || kChecksumBytes > file_bytes() - at - bytes)
      fail("it is truncated");
    at += bytes + kChecksumBytes;
  }
  if (header_.contains("signer")) {
    signer_ = signing::verification_key_of(decode([](const auto& h) { return text(h, "signer"); }));
    if (!signer_) fail("its header is not valid");
    if (kSignatureBytes > file_bytes() - at) fail("it is truncated");
  }
  const std::uint64_t end = at + (signer_ ? kSignatureBytes : 0);
  if (end != file_bytes()) fail("it is longer than it says");
  checksums_.resize(sections_.size());
  for (std::size_t i = 0; i < sections_.size(); ++i) input_.read_at(offsets_[i] + sections_[i], checksums_[i]);
  if (signer_) require_signature(at);
}

void FileReader::require_signature(std::uint64_t offset) const {
  signing::Signature signature{};
  input_.read_at(offset, signature);
  if (is_signature(signature, *signer_, digest())) return;
  verify();  // says so if it is damaged
  throw Error(ErrorCode::wrong_key, "cannot use " + name() +
                                        ": its signature is wrong: it was changed, or someone else than it says "
                                        "signed it");
}

// BLAKE2b of a section's number and bytes, keyed with the header's checksum.
class FileReader::SectionHash {
 public:
  SectionHash(const Checksum& key, std::size_t section) {
    const auto index = static_cast<std::uint64_t>(section);
    crypto_generichash_init(&state_, key.data(), key.size(), kChecksumBytes);
    crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(&index), sizeof index);
  }
  void update(std::span<const unsigned char> bytes) { crypto_generichash_update(&state_, bytes.data(), bytes.size()); }
  Checksum finish() {
    Checksum out;
    crypto_generichash_final(&state_, out.data(), out.size());
    return out;
  }

 private:
  crypto_generichash_state state_;
};

bool FileReader::names_file(const Error& e) const {
  return std::string_view(e.what()).find(name()) != std::string_view::npos;
}

void FileReader::verify(const std::function<void()>& check) const {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  parallel_for(sections_.size(), [&](std::size_t i) {
    std::vector<std::size_t> pieces(sections_[i] / kPiece, kPiece);
    if (sections_[i] % kPiece != 0) pieces.push_back(sections_[i] % kPiece);
    stream(i, pieces, [&](std::size_t, std::span<const unsigned char>) {
      if (check) check();
    });
  });
}

void FileReader::read(std::size_t i, std::span<unsigned char> dst) const {
  check(i < sections_.size() && dst.size() == sections_[i], "a section was read with a wrong size");
  input_.read_at(offsets_[i], dst);
  SectionHash hash(header_checksum_, i);
  hash.update(dst);
  require_checksum(i, hash);
}

void FileReader::stream(std::size_t i, std::span<const std::size_t> pieces,
                        const std::function<void(std::size_t, std::span<const unsigned char>)>& use) const {
  check(i < sections_.size() && std::accumulate(pieces.begin(), pieces.end(), std::size_t{0}) == sections_[i],
        "a section was read with a wrong size");
  SectionHash hash(header_checksum_, i);
  std::vector<unsigned char> buffer;
  std::uint64_t at = offsets_[i];
  for (std::size_t k = 0; k < pieces.size(); ++k) {
    buffer.resize(pieces[k]);
    input_.read_at(at, buffer);
    hash.update(buffer);
    use(k, buffer);
    at += pieces[k];
  }
  require_checksum(i, hash);
}

void FileReader::require_checksum(std::size_t i, SectionHash& hash) const {
  if (hash.finish() != checksums_[i])
    fail((section_name_ ? section_name_(i) : "part " + std::to_string(i) + " of its data") + " is corrupted");
}

void require_owner(const FileReader& file, const std::string& key_id) {
  if (!file.signer() || signing::identity_of(*file.signer()) != key_id)
    throw Error(ErrorCode::wrong_key,
                "cannot use " + file.name() + ": the owner of the key that it names (" + key_id + ") did not sign it");
}

std::optional<Kind> kind_of(const std::filesystem::path& path) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(path, unknown)) return {};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Error(code_of(errno), "cannot open " + path.string() + ": " + std::strerror(errno));
  unsigned char start[16];  // no more: what follows may be a secret
  const ssize_t count = ::pread(fd, start, sizeof start, 0);
  ::close(fd);
  if (count != sizeof start) return {};
  if (std::memcmp(start, kMagic.data(), kMagic.size()) != 0) return {};
  std::uint32_t kind = 0;
  std::memcpy(&kind, start + 12, 4);
  if (kind < 1 || kind > static_cast<std::uint32_t>(Kind::signing_key)) return {};
  return static_cast<Kind>(kind);
}

}  // namespace sotto::wire
