#pragma once

#include <sodium.h>

#include <string>

#include "support/files.h"
#include "wire/reader.h"

namespace sotto::test {

/// A Sotto file put together by hand from its specification, with a right header checksum whatever the header says.
inline Bytes raw_container(std::uint32_t version, std::uint32_t kind, const std::string& header,
                           std::uint64_t header_length, const Bytes& tail = {}) {
  const auto number = [](const auto& v) { return std::string(reinterpret_cast<const char*>(&v), sizeof v); };
  const std::string start =
      std::string(wire::kMagic.begin(), wire::kMagic.end()) + number(version) + number(kind) + number(header_length);
  const std::string hashed = start + header;
  unsigned char checksum[wire::kChecksumBytes];
  crypto_generichash(checksum, sizeof checksum, reinterpret_cast<const unsigned char*>(hashed.data()), hashed.size(),
                     nullptr, 0);
  const std::string file =
      start + std::string(checksum, checksum + sizeof checksum) + header + std::string(tail.begin(), tail.end());
  return {file.begin(), file.end()};
}

inline Bytes raw_container(wire::Kind kind, const std::string& header, const Bytes& tail = {}) {
  return raw_container(wire::kVersion, static_cast<std::uint32_t>(kind), header, header.size(), tail);
}

/// A whole file with right checksums. The header must name the lengths of the sections itself.
inline Bytes raw_container(wire::Kind kind, const std::string& header, const std::vector<Bytes>& sections) {
  Bytes file = raw_container(kind, header);
  const Bytes key(file.begin() + 24, file.begin() + 24 + wire::kChecksumBytes);
  for (std::uint64_t i = 0; i < sections.size(); ++i) {
    Bytes hashed(reinterpret_cast<const unsigned char*>(&i), reinterpret_cast<const unsigned char*>(&i) + sizeof i);
    hashed.insert(hashed.end(), sections[i].begin(), sections[i].end());
    Bytes checksum(wire::kChecksumBytes);
    crypto_generichash(checksum.data(), checksum.size(), hashed.data(), hashed.size(), key.data(), key.size());
    file.insert(file.end(), sections[i].begin(), sections[i].end());
    file.insert(file.end(), checksum.begin(), checksum.end());
  }
  return file;
}

/// Contents of a file as it is on disk, for changing them.
struct Contents {
  nlohmann::json header;
  std::vector<Bytes> sections;

  Contents(const std::filesystem::path& path, wire::Kind kind) {
    const wire::FileReader file(path, kind);
    header = file.header();
    for (std::size_t i = 0; i < file.sections(); ++i) {
      sections.emplace_back(file.section_bytes(i));
      file.read(i, sections.back());
    }
  }
  /// Writes them with right checksums, as an attacker would.
  void write(const std::filesystem::path& path, wire::Kind kind) {
    header["sections"] = nlohmann::json::array();
    for (const Bytes& s : sections) header["sections"].push_back(s.size());
    write_bytes(path, raw_container(kind, header.dump(), sections));
  }
};

}  // namespace sotto::test
