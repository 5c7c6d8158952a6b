#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

#include "ckks/ciphertext.h"
#include "plan/schedule.h"

namespace sotto::runtime {

/// A nameless file for limbs that do not fit into memory. It holds ciphertexts only, and vanishes with the process.
class ScratchFile {
 public:
  /// Makes it in `folder` when the first limb comes. block_bytes: of one packed limb.
  ScratchFile(std::filesystem::path folder, std::size_t block_bytes);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  /// A place for one block. Throws Error{bad_input} if the file cannot be made.
  std::uint64_t take();
  void give(std::uint64_t place) { free_.push_back(place); }
  /// Thread-safe. Throws Error{no_resources} when the disk is full.
  void write(std::uint64_t place, const unsigned char* block);
  /// Thread-safe.
  void read(std::uint64_t place, unsigned char* block) const;

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path folder_;
  std::size_t block_bytes_;
  int fd_ = -1;
  std::uint64_t places_ = 0;
  std::vector<std::uint64_t> free_;
};

/// The ciphertexts that wait between tasks: in memory, on disk, or both.
class Store {
 public:
  using Blocks = std::vector<ckks::PackedCiphertext>;  ///< of one phase of a tensor

  /// scratch: the folder for what goes to disk.
  Store(const ring::Ring& ring, const std::filesystem::path& scratch);

  /// Forgets an item, wherever it is.
  void erase(const plan::Source& item);
  /// Adds one ciphertext to an item.
  void append(const plan::Source& item, ckks::PackedCiphertext c);
  /// What `append` gave; it must be in memory.
  [[nodiscard]] const Blocks& at(const plan::Source& item) const;
  /// Writes an item to disk, if it has not been there before, and frees its memory.
  void store(const plan::Source& item);
  /// Brings an item back into memory.
  void load(const plan::Source& item);
  /// Frees everything that is not in `live` (levels by item), and limbs that these have not.
  void retain(const std::map<plan::Source, ckks::Level>& live);
  void clear();

 private:
  struct Entry {
    Blocks blocks;                      // limbs without memory are on disk only
    std::vector<std::uint64_t> places;  // in the order of limbs_of; empty: never stored
    ckks::Level level;                  // of all blocks
    bool in_memory = true;
  };

  void drop_places(Entry& e);
  void give_places(Entry& e, std::ptrdiff_t first, std::ptrdiff_t end);

  const ring::Ring& ring_;
  ScratchFile file_;
  std::map<plan::Source, Entry> entries_;
};

}  // namespace sotto::runtime
