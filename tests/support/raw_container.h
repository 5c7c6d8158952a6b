#pragma once

#include <sodium.h>

#include <cstring>
#include <string>

#include "signing/signing_key.h"
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

/// Appends the signature of a file whose header names this key as its signer (docs/formats/container.md).
inline void sign_container(Bytes& file, const std::vector<Bytes>& sections, const signing::SigningKey& key) {
  std::size_t at = 56;
  std::uint64_t length = 0;
  std::memcpy(&length, file.data() + 16, sizeof length);
  at += length;
  // The digest: of the header's checksum and those of the sections.
  Bytes hashed(file.begin() + 24, file.begin() + 56);
  for (const Bytes& s : sections) {
    at += s.size() + wire::kChecksumBytes;
    hashed.insert(hashed.end(), file.begin() + static_cast<std::ptrdiff_t>(at - wire::kChecksumBytes),
                  file.begin() + static_cast<std::ptrdiff_t>(at));
  }
  const std::string domain("Sotto signed\0\0\0\0", 16);
  Bytes message(domain.begin(), domain.end());
  message.resize(16 + wire::kChecksumBytes);
  crypto_generichash(message.data() + 16, wire::kChecksumBytes, hashed.data(), hashed.size(), nullptr, 0);
  const signing::Signature signature = key.sign(message);
  file.insert(file.end(), signature.begin(), signature.end());
}

/// Contents of a file as it is on disk, for changing them. Whoever signed it is left out.
struct Contents {
  nlohmann::json header;
  std::vector<Bytes> sections;

  Contents(const std::filesystem::path& path, wire::Kind kind) {
    const wire::FileReader file(path, kind);
    header = file.header();
    header.erase("signer");
    for (std::size_t i = 0; i < file.sections(); ++i) {
      sections.emplace_back(file.section_bytes(i));
      file.read(i, sections.back());
    }
  }
  /// Writes them with right checksums, as an attacker would, and with this signature of this signer, if any.
  void write(const std::filesystem::path& path, wire::Kind kind, const std::string& signer = {},
             const Bytes& signature = {}) const {
    nlohmann::json whole = header;
    whole["sections"] = nlohmann::json::array();
    for (const Bytes& s : sections) whole["sections"].push_back(s.size());
    if (!signer.empty()) whole["signer"] = signer;
    Bytes file = raw_container(kind, whole.dump(), sections);
    file.insert(file.end(), signature.begin(), signature.end());
    write_bytes(path, file);
  }
  /// The same, signed with this key, as its owner may do who means harm.
  void signed_by(const std::filesystem::path& path, wire::Kind kind, const signing::SigningKey& key) const {
    write(path, kind, signing::to_text(key.verification_key()));
    Bytes file = read_bytes(path);
    sign_container(file, sections, key);
    write_bytes(path, file);
  }
};

}  // namespace sotto::test
