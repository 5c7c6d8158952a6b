#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace sotto {

namespace signing {
class SigningKey;
}

/// A key that signs (Ed25519): results, for a server, or inputs, for someone who encrypts with a public key. It
/// decrypts nothing and is not related to any secret key; owners of images need none, as theirs follows from their
/// SecretKey. Cheap to copy; wiped with the last copy.
class SigningKey {
 public:
  /// A fresh key from the operating system's generator.
  static SigningKey generate();
  /// Throws Error{bad_input} if there is none, or if the file is damaged or of another version.
  static SigningKey read(const std::filesystem::path& path);
  /// Writes it with mode 0600. Throws Error{usage} if anything is there, Error{bad_input} if the file cannot be
  /// written, Error{no_resources} if the disk is full.
  void write(const std::filesystem::path& path) const;

  /// The public half, 64 hexadecimal digits: what tells others that this key signed. It must reach them unchanged.
  [[nodiscard]] std::string verification_key() const;

  /// For the library itself.
  [[nodiscard]] const std::shared_ptr<const signing::SigningKey>& internal() const { return key_; }

 private:
  explicit SigningKey(std::shared_ptr<const signing::SigningKey> key);

  std::shared_ptr<const signing::SigningKey> key_;
};

}  // namespace sotto
