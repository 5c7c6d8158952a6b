#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "wire/format.h"
#include "wire/input.h"
#include "wire/signature.h"

namespace sotto::wire {

/// Reads a Sotto file. Everything is checked before it is believed: magic, version, kind, the length of the file, the
/// checksum of the header, the signature if there is one, and the checksum of each section when it is read. Checksums
/// find damage; a signature proves who wrote a file, as a whole and in this order.
class FileReader {
 public:
  /// Throws Error{bad_input} with one line that says what is wrong with the file, Error{wrong_key} if its signature is
  /// not that of whom it names.
  FileReader(const Source& source, Kind expected);

  /// How messages call section i; default: "part i of its data".
  void name_sections(std::function<std::string(std::size_t i)> name) { section_name_ = std::move(name); }

  [[nodiscard]] const nlohmann::json& header() const { return header_; }
  [[nodiscard]] std::size_t sections() const { return sections_.size(); }
  [[nodiscard]] std::uint64_t section_bytes(std::size_t i) const { return sections_[i]; }
  /// What messages call it: the path of a file.
  [[nodiscard]] const std::string& name() const { return input_.name(); }
  [[nodiscard]] std::uint64_t file_bytes() const { return input_.size(); }
  /// Who signed it, if anyone did: that was checked, for all that can be read from now on.
  [[nodiscard]] const std::optional<signing::VerificationKey>& signer() const { return signer_; }
  /// Of the whole file, signed or not.
  [[nodiscard]] Checksum digest() const { return digest_of(header_checksum_, checksums_); }

  /// Fills dst, whose size must be that of section i. Thread-safe. Throws Error{bad_input} if the section is damaged.
  void read(std::size_t i, std::span<unsigned char> dst) const;

  /// Reads section i in pieces of these sizes (their sum must be its length), calling use(k, piece) for each. Nothing
  /// that was used may be believed before this returns: then the checksum was right. Thread-safe. Throws
  /// Error{bad_input} if the section is damaged.
  void stream(std::size_t i, std::span<const std::size_t> pieces,
              const std::function<void(std::size_t, std::span<const unsigned char>)>& use) const;

  /// Reads every section, several at a time. Throws Error{bad_input} if one is damaged, and whatever check() throws,
  /// which is called now and then, by any thread.
  void verify(const std::function<void()>& check = {}) const;

  /// Error{bad_input} that names the file.
  [[noreturn]] void fail(const std::string& what) const { input_.fail(what); }
  /// Runs decode(header), naming the file in whatever Error{bad_input} it throws.
  template <class F>
  auto decode(F&& decode) const {
    try {
      return decode(header_);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::bad_input || names_file(e)) throw;
      fail(e.what());
    }
  }

 private:
  class SectionHash;
  void require_checksum(std::size_t i, SectionHash& hash) const;
  void require_signature(std::uint64_t offset) const;
  [[nodiscard]] bool names_file(const Error& e) const;

  Input input_;
  std::function<std::string(std::size_t)> section_name_;
  nlohmann::json header_;
  std::vector<std::uint64_t> sections_, offsets_;
  Checksum header_checksum_{};
  std::vector<Checksum> checksums_;  // of the sections, as they were when the signature was checked
  std::optional<signing::VerificationKey> signer_;
};

/// Throws Error{wrong_key} unless the owner of a secret key, given by its identity (signing::identity_of), signed a
/// file.
void require_owner(const FileReader& file, const std::string& key_id);

/// The header of a Sotto file that may lack data behind it, as unfinished results do. Throws Error{bad_input} with one
/// line that says what is wrong with it.
nlohmann::json read_header(const Source& source, Kind expected);

/// Kind of the Sotto file at `path`, or nothing if it is no Sotto file (or none that this version knows). Throws
/// Error{bad_input} for a file that may not be read.
std::optional<Kind> kind_of(const std::filesystem::path& path);

}  // namespace sotto::wire
