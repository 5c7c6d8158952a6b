#pragma once

#include <sodium.h>

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "sotto/io.h"
#include "wire/atomic_file.h"
#include "wire/format.h"
#include "wire/output.h"
#include "wire/signature.h"

namespace sotto::wire {

/// How long work is divided: where an interruption of it leaves what is there.
struct Units {
  std::size_t sections = 0;                    ///< of a unit; 0: nothing is kept
  std::size_t lead = 0, sections_of_lead = 1;  ///< sections before the first unit, and those of a unit among these

  /// Whether a unit ends behind so many sections.
  [[nodiscard]] bool end(std::size_t count) const {
    return count < lead ? count % sections_of_lead == 0 : (count - lead) % sections == 0;
  }
};

/// Writes one Sotto file: a JSON header, then sections of known length, each followed by its checksum, and a signature
/// if someone signs it (docs/formats/container.md).
class FileWriter {
 public:
  /// section_bytes: the length of every section. The header gets a member "sections" with these.
  ///
  /// units: of long work. Finished ones are kept when the work is interrupted, in PATH.part, and a writer with the same
  /// header and sections continues behind them; of sinks that are no files nothing is kept. Throws Error{wrong_key} if
  /// that file belongs to other work, Error{bad_input} if its header is damaged.
  ///
  /// signer: whose key signs the file; it must outlive this. The header gets a member "signer".
  FileWriter(const Sink& sink, Kind kind, nlohmann::json header, std::vector<std::uint64_t> section_bytes,
             Access access = Access::everyone, Units units = {}, const signing::SigningKey* signer = nullptr);

  /// Sections that are there already, at first those of an earlier run.
  [[nodiscard]] std::size_t finished() const { return section_; }

  [[nodiscard]] std::uint64_t section_bytes(std::size_t i) const { return sections_[i]; }
  /// Fills dst with the contents of a finished section of long work.
  void read_back(std::size_t section, std::span<unsigned char> dst) const;

  /// Appends to the current section; a full section closes by itself and the next one begins.
  void write(std::span<const unsigned char> data);
  /// Checks that every section is full, signs, then gives the file its name.
  void commit();
  /// Of the whole file. Every section must be full.
  [[nodiscard]] Checksum digest() const;

 private:
  void begin_section();
  void close_full_sections();
  void put(std::span<const unsigned char> data);
  void continue_after(std::span<const unsigned char> start, Kind kind);
  [[nodiscard]] bool section_is_whole(std::uint64_t offset);

  std::unique_ptr<Output> output_;
  std::unique_ptr<AtomicFile> resumable_;  // in its place, for long work
  std::vector<std::uint64_t> sections_;
  Checksum header_checksum_{};
  std::vector<Checksum> checksums_;  // of finished sections
  const signing::SigningKey* signer_;
  Units units_;
  std::size_t section_ = 0;
  std::uint64_t first_section_ = 0;  // offset
  std::uint64_t filled_ = 0;
  crypto_generichash_state hash_{};
};

}  // namespace sotto::wire
