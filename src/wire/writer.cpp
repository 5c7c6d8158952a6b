#include "wire/writer.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "wire/json_text.h"
#include "wire/reader.h"

namespace sotto::wire {

namespace {

// Says why work cannot go on behind what is in a file.
[[noreturn]] void refuse_to_continue(const std::filesystem::path& part, Kind kind) {
  if (kind_of(part)) try {
      (void)read_header(part, kind);
    } catch (const Error& e) {
      throw Error(e.code(), std::string(e.what()) + "; remove the file, and the work begins anew");
    }
  throw Error(ErrorCode::wrong_key,
              part.string() +
                  " holds unfinished results of other work (another plan, key or input); finish that or move the file "
                  "away");
}

}  // namespace

FileWriter::FileWriter(const Sink& sink, Kind kind, nlohmann::json header, std::vector<std::uint64_t> section_bytes,
                       Access access, Units units, const signing::SigningKey* signer)
    : sections_(std::move(section_bytes)), signer_(signer), units_(sink.path() == nullptr ? Units{} : units) {
  check(sodium_init() >= 0, "libsodium does not start");
  header["sections"] = sections_;
  if (signer_ != nullptr) header["signer"] = signing::to_text(signer_->verification_key());
  const std::string text = [&] {
    try {
      return header.dump();
    } catch (const nlohmann::json::exception&) {
      throw Error(ErrorCode::bad_input, "cannot write " + sink.name() + ": a name in it is not UTF-8 text");
    }
  }();
  if (!fits(text, header_limits(kind)))
    throw Error(ErrorCode::no_resources, "cannot write " + sink.name() + ": it would have too many parts");
  unsigned char preamble[kPreambleBytes];
  const auto version = kVersion;
  const auto number = static_cast<std::uint32_t>(kind);
  const auto length = static_cast<std::uint64_t>(text.size());
  std::memcpy(preamble, kMagic.data(), 8);
  std::memcpy(preamble + 8, &version, 4);
  std::memcpy(preamble + 12, &number, 4);
  std::memcpy(preamble + 16, &length, 8);
  crypto_generichash_init(&hash_, nullptr, 0, kChecksumBytes);
  crypto_generichash_update(&hash_, preamble, 24);
  crypto_generichash_update(&hash_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  crypto_generichash_final(&hash_, header_checksum_.data(), kChecksumBytes);
  std::memcpy(preamble + 24, header_checksum_.data(), kChecksumBytes);
  std::vector<unsigned char> start(preamble, preamble + sizeof preamble);
  start.insert(start.end(), text.begin(), text.end());
  first_section_ = start.size();
  if (units_.sections > 0) {
    resumable_ = std::make_unique<AtomicFile>(*sink.path(), access, kind, AtomicFile::Temporary::continued);
    continue_after(start, kind);
  } else {
    std::uint64_t bytes = start.size() + (signer_ != nullptr ? kSignatureBytes : 0);
    for (const std::uint64_t section : sections_) bytes += section + kChecksumBytes;
    output_ = open_output(sink, bytes, access, kind);
  }
  if (section_ == 0) put(start);
  begin_section();
  close_full_sections();
}

void FileWriter::put(std::span<const unsigned char> data) {
  resumable_ ? resumable_->write(data) : output_->write(data);
}

// Finds the units that an earlier run has finished.
void FileWriter::continue_after(std::span<const unsigned char> start, Kind kind) {
  std::vector<unsigned char> there(start.size());
  const std::size_t read = resumable_->read_at(0, there);
  if (!std::equal(there.begin(), there.begin() + static_cast<std::ptrdiff_t>(read), start.begin()))
    refuse_to_continue(resumable_->temporary(), kind);
  std::uint64_t offset = start.size(), unit_end = 0;
  std::size_t finished = 0;
  for (section_ = 0; section_ < sections_.size() && read == start.size() && section_is_whole(offset);) {
    offset += sections_[section_] + kChecksumBytes;
    if (!units_.end(++section_)) continue;
    finished = section_;
    unit_end = offset;
  }
  section_ = finished;
  checksums_.resize(finished);
  resumable_->truncate(unit_end);
}

bool FileWriter::section_is_whole(std::uint64_t offset) {
  begin_section();
  std::vector<unsigned char> piece(std::size_t{1} << 20);
  const std::uint64_t end = offset + sections_[section_];
  while (offset < end) {
    const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), end - offset));
    if (resumable_->read_at(offset, part) != part.size()) return false;
    crypto_generichash_update(&hash_, part.data(), part.size());
    offset += part.size();
  }
  Checksum stored{}, computed{};
  crypto_generichash_final(&hash_, computed.data(), computed.size());
  if (resumable_->read_at(end, stored) != stored.size() || stored != computed) return false;
  checksums_.push_back(computed);
  return true;
}

// The checksum of a section covers the header's, so that sections cannot move between files or places unnoticed.
void FileWriter::begin_section() {
  filled_ = 0;
  const auto index = static_cast<std::uint64_t>(section_);
  crypto_generichash_init(&hash_, header_checksum_.data(), kChecksumBytes, kChecksumBytes);
  crypto_generichash_update(&hash_, reinterpret_cast<const unsigned char*>(&index), sizeof index);
}

void FileWriter::close_full_sections() {
  while (section_ < sections_.size() && filled_ == sections_[section_]) {
    Checksum& checksum = checksums_.emplace_back();
    crypto_generichash_final(&hash_, checksum.data(), checksum.size());
    put(checksum);
    ++section_;
    if (resumable_ && units_.end(section_)) resumable_->keep();
    begin_section();
  }
}

void FileWriter::write(std::span<const unsigned char> data) {
  while (!data.empty()) {
    check(section_ < sections_.size(), "a file got more sections than announced");
    const auto part = data.first(std::min<std::uint64_t>(data.size(), sections_[section_] - filled_));
    crypto_generichash_update(&hash_, part.data(), part.size());
    put(part);
    filled_ += part.size();
    data = data.subspan(part.size());
    close_full_sections();
  }
}

void FileWriter::read_back(std::size_t section, std::span<unsigned char> dst) const {
  check(resumable_ != nullptr && section < section_ && dst.size() == sections_[section],
        "only finished sections of long work are read back");
  std::uint64_t offset = first_section_;
  for (std::size_t i = 0; i < section; ++i) offset += sections_[i] + kChecksumBytes;
  if (resumable_->read_at(offset, dst) != dst.size())
    throw Error(ErrorCode::bad_input, "cannot read " + resumable_->temporary().string());
}

Checksum FileWriter::digest() const {
  check(section_ == sections_.size(), "a file got fewer sections than announced");
  return digest_of(header_checksum_, checksums_);
}

void FileWriter::commit() {
  const Checksum digest = this->digest();
  if (signer_ != nullptr) put(sign(*signer_, digest));
  resumable_ ? resumable_->commit() : output_->commit();
}

}  // namespace sotto::wire
