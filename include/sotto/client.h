#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotto/doubt.h"
#include "sotto/error.h"
#include "sotto/hooks.h"
#include "sotto/images.h"
#include "sotto/io.h"
#include "sotto/spec.h"

/// The side of the owner of images: secret key, encryption, decryption. Link Sotto::client. Who encrypts for an owner
/// without being one takes sotto/encryptor.h.
namespace sotto {

namespace secret {
class OwnerKey;
}

/// The secret key of an owner of images. One serves all plans and batch sizes. Shared by copies, wiped with the last.
class SecretKey {
 public:
  /// A fresh key from the operating system's generator.
  static SecretKey generate();
  /// Reads `path`, or the file secret.key in it if it is a folder. Throws Error{bad_input} if there is none, or if the
  /// file is damaged or of another version.
  static SecretKey read(const std::filesystem::path& path);
  /// Writes it with mode 0600 to `path`, or to secret.key in it if it is a folder. Throws Error{usage} if a key is
  /// there and `replace` is not set, since without that key old results can never be decrypted; Error{bad_input} if the
  /// file cannot be written, Error{no_resources} if the disk is full.
  void write(const std::filesystem::path& path, bool replace = false) const;

  /// 32 hexadecimal digits that identify the key and reveal nothing of it. Evaluation keys, public keys and inputs of
  /// its owner are signed, and whoever has this id can tell: readers refuse what names it and is not signed so.
  [[nodiscard]] std::string id() const;

  /// For the library itself.
  [[nodiscard]] const secret::OwnerKey& internal() const { return *key_; }

 private:
  explicit SecretKey(std::shared_ptr<const secret::OwnerKey> key);

  std::shared_ptr<const secret::OwnerKey> key_;
};

/// Where results must come from, beyond what the plan promises (ClientSpec::signer). What is empty may be anything.
struct Origin {
  /// What `encrypt` returned: the input that results must be of. Unless input_signer is given, the owner of the key
  /// must have encrypted it: with the public key anyone can use the same id.
  std::string input_id = {};
  std::string signer = {};        ///< verification key of who computed them, 64 hexadecimal digits
  std::string input_signer = {};  ///< verification key of who encrypted the input, if that was someone else
};

/// What comes out of a decryption. Images have the order in which they were encrypted.
struct Results {
  std::size_t images = 0;      ///< in all batches
  std::size_t classes = 0;     ///< scores of an image
  std::vector<double> scores;  ///< [image][class], row after row; NaN where a batch is lost
  std::vector<int> labels;     ///< by image: the class with the largest score, from 0; -1 without scores
  std::vector<Doubt> doubts;   ///< by image
  std::string input_id;        ///< what `encrypt` returned
  /// Verification key of who signed the input: the owner's own, or that of someone who encrypted with the public key;
  /// empty: nobody. It is worth as much as the signature of the results.
  std::string input_signer;
  std::string summary;  ///< one line that names the doubtful images; empty if there are none
};

/// Options of decryption.
struct DecryptOptions {
  /// For results that leave the owner's hands (IND-CPA-D: Li, Micciancio, ePrint 2020/1533; SECURITY.md): Gaussian
  /// noise of this standard deviation, in units of scores, is added to every score. 0 adds none; a negative value is
  /// Error{usage}.
  double flood = 0;
  Origin origin = {};  ///< Results from elsewhere are Error{wrong_key}.
};

/// What is published.
enum class Published {
  labels,  ///< the label of every image whose best score leads by a margin; nothing else
  scores,  ///< all scores, flooded with noise and rounded, and the labels that follow from these
};

/// Options of publishing. The noise is as small as they allow.
struct PublishOptions {
  Published what = Published::labels;  ///< labels need far less noise
  /// Bits, of those of the parameters, that recovering the key must still cost whoever sees all that was ever published
  /// under it: Renyi divergence (Bai et al., ePrint 2015/483; SECURITY.md). Above 0.
  double key_bits = 100;
  /// In place of key_bits: statistical security in bits, as Li, Micciancio, Schultz and Sorrell (ePrint 2022/816) count
  /// it. 30 is usual, and takes noise beyond the scores of most networks.
  std::optional<double> statistical_bits = {};
  int releases = 1;    ///< results like these that are to be published under the key; at least 1
  Origin origin = {};  ///< Results from elsewhere are Error{wrong_key}.
};

/// Results that may be given away. Images have the order in which they were encrypted.
struct Publication {
  std::size_t images = 0;       ///< in all batches
  std::size_t classes = 0;      ///< scores of an image
  std::vector<int> labels;      ///< by image, from 0; -1: withheld
  std::vector<double> scores;   ///< [image][class], row after row; NaN where withheld; empty for labels
  double deviation = 0;         ///< of the Gaussian noise, in units of scores
  double margin = 0;            ///< by which the best score leads, noise included, where there is a label
  double step = 0;              ///< scores are multiples of it; 0 for labels
  double key_bits = 0;          ///< that recovering the key costs, with all releases under it
  double statistical_bits = 0;  ///< statistical security with all of them; negative: none
  bool again = false;           ///< they were published before
  std::vector<Doubt> doubts;    ///< by image; for the owner only
  std::string summary;          ///< one line that names the doubtful images; empty if there are none. For the owner
};

/// Keys, encryption and decryption for one plan. Can be moved, not copied.
class Client {
 public:
  /// `key` may serve other plans, too. Throws Error{bad_input} for parameters or keys below 128 bits (SECURITY.md),
  /// Error{usage} for a training plan, which takes a TrainingClient.
  Client(ClientSpec spec, SecretKey key);
  ~Client();
  Client(Client&&) noexcept;             ///< The other one may only be destroyed or assigned to.
  Client& operator=(Client&&) noexcept;  ///< The other one may only be destroyed or assigned to.

  [[nodiscard]] const ClientSpec& spec() const;  ///< of the plan
  [[nodiscard]] const SecretKey& key() const;    ///< under which it encrypts

  /// Makes the keys with which a server computes on what this client encrypts: 0.3 to 5 GB. They are public, and new
  /// every time; any of them serve. Throws Error{interrupted}; `sink` may throw, too. For several plans see
  /// sotto::write_evaluation_keys.
  void write_evaluation_keys(const Sink& sink, const Hooks& hooks = {}) const;

  /// A key with which others encrypt images for this client (sotto/encryptor.h): some 0.1 to 10 MB. It is public:
  /// whoever has it can encrypt, and nobody can decrypt with it. A new one every time; any of them serve. `sink` may
  /// throw.
  void write_public_key(const Sink& sink) const;

  /// Encrypts images of spec().channels() x spec().height() x spec().width(), at least one, in batches of
  /// spec().batch(). Returns the name of the input, 32 hexadecimal digits that are new every time. Throws
  /// Error{bad_input} for images of another shape and for values that no network takes (not finite, or beyond a million
  /// after preprocessing), Error{interrupted}; `sink` may throw, too.
  std::string encrypt(const ImagesView& images, const Sink& sink, const Hooks& hooks = {}) const;

  /// Decrypts what a server made of an input. Doubtful images are marked, batches that are lost have no scores, the
  /// others come out. Throws Error{wrong_key} if it belongs to another key or plan, is not signed as the plan promises,
  /// has another origin than asked for, or no batch decrypts; Error{bad_input} if no batch can be read, Error{usage}
  /// for an origin that is no key.
  [[nodiscard]] Results decrypt(const Source& source, const DecryptOptions& options = {},
                                const Hooks& hooks = {}) const;

  /// Decrypts what a server made of an input for others, who may talk to the server. folder: remembers, in `releases`,
  /// what is published under the key; always the same for one key. The same request gives the same results again; any
  /// other request for ciphertexts that were published is Error{usage}, as is one after which less than asked for would
  /// be left to the key, and labels of a single score. Images whose values left their range are withheld. Other errors
  /// as for decrypt; Error{bad_input} if a record cannot be read or written.
  [[nodiscard]] Publication publish(const Source& source, const std::filesystem::path& folder,
                                    const PublishOptions& options = {}, const Hooks& hooks = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Makes the evaluation keys of several plans (at least one) for one owner, in one sink from which servers of all of
/// them read: keys that plans have in common are there once, so that it is smaller than those of each plan together.
/// Throws Error{usage} for no plan, Error{bad_input} for parameters below 128 bits, Error{interrupted}; `sink` may
/// throw, too.
void write_evaluation_keys(const std::vector<ClientSpec>& specs, const SecretKey& key, const Sink& sink,
                           const Hooks& hooks = {});

}  // namespace sotto
