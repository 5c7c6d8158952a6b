#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sotto/doubt.h"
#include "sotto/error.h"
#include "sotto/hooks.h"
#include "sotto/images.h"
#include "sotto/io.h"
#include "sotto/spec.h"

/// The side of the owner of images: secret key, encryption, decryption. Link Sotto::client.
namespace sotto {

namespace secret {
class OwnerKey;
}

/// The secret key of an owner of images. One serves all plans and batch sizes. Shared by copies, wiped with the last.
class SecretKey {
 public:
  /// A fresh key from the operating system's generator.
  static SecretKey generate();
  /// Reads PATH, or PATH/secret.key if PATH is a folder. Throws Error{bad_input}.
  static SecretKey read(const std::filesystem::path& path);
  /// Writes it with mode 0600, into PATH or PATH/secret.key. Throws Error{usage} if a key is there and `replace` is not
  /// set: without it, old results could never be decrypted.
  void write(const std::filesystem::path& path, bool replace = false) const;

  /// 32 hexadecimal digits that identify the key and reveal nothing of it.
  [[nodiscard]] std::string id() const;

  /// For the library itself.
  [[nodiscard]] const secret::OwnerKey& internal() const { return *key_; }

 private:
  explicit SecretKey(std::shared_ptr<const secret::OwnerKey> key);

  std::shared_ptr<const secret::OwnerKey> key_;
};

/// What comes out of a decryption.
struct Results {
  std::size_t images = 0, classes = 0;
  std::vector<double> scores;  ///< [image][class]; not numbers where there are none
  std::vector<int> labels;     ///< by image: the class with the largest score, -1 without scores
  std::vector<Doubt> doubts;   ///< by image
  std::string input_id;        ///< what `encrypt` returned
  std::string summary;         ///< one line that names the doubtful images; empty if there are none
};

/// Options of decryption.
struct DecryptOptions {
  /// For results that leave the owner's hands (IND-CPA-D, SECURITY.md): Gaussian noise of this standard deviation, in
  /// units of scores, is added to every score.
  double flood = 0;
};

/// Keys, encryption and decryption for one plan.
class Client {
 public:
  /// Throws Error{bad_input} for a plan whose keys would be weak.
  Client(ClientSpec spec, SecretKey key);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  [[nodiscard]] const ClientSpec& spec() const;
  [[nodiscard]] const SecretKey& key() const;

  /// The keys with which a server computes on what this client encrypts. They are public.
  void write_evaluation_keys(const Sink& sink, const Hooks& hooks = {}) const;

  /// Encrypts images, in batches of spec().batch(). Returns the name of the input, which is new every time.
  /// Throws Error{bad_input} for images of another shape or values that no network takes.
  std::string encrypt(const ImagesView& images, const Sink& sink, const Hooks& hooks = {}) const;

  /// Decrypts what a server made of an input. Doubtful images are marked, batches that are lost have no scores, the
  /// others come out. Throws Error{wrong_key} if it belongs to another key or plan or no batch decrypts,
  /// Error{bad_input} if no batch can be read.
  [[nodiscard]] Results decrypt(const Source& source, const DecryptOptions& options = {},
                                const Hooks& hooks = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
