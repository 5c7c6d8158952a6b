#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "ckks/eval_key.h"
#include "ckks/sampler.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::ckks {

/// A switching key as it travels: the b polynomials and the seed of the a polynomials. Digit d's a modulo prime index i
/// is stream d of the seed.
struct SeededSwitchingKey {
  KeyShape shape;
  Seed seed;
  std::vector<ring::RnsPoly> b;  ///< per digit, limbs in the order of SwitchingKey
};

/// Expands the seed. ciphertext_primes: of the ring.
SwitchingKey expand(const ring::Ring& ring, int ciphertext_primes, SeededSwitchingKey key);

/// Writes eval.key (docs/formats/keys.md), one section per key, in the order of the list.
class KeyFileWriter {
 public:
  /// owner: signs the file, and names the secret key by its identity; it must outlive this.
  KeyFileWriter(const Sink& sink, const KeyList& list, const signing::SigningKey& owner);

  /// ring: of the key, with at least the primes that it covers.
  void write(const ring::Ring& ring, const SeededSwitchingKey& key);
  void commit() { file_.commit(); }

 private:
  wire::FileWriter file_;
};

/// What an eval.key file says of itself: whose keys it holds, and which.
struct KeyFileContents {
  std::string key_id;  ///< identity of the secret key, whose owner signed the file
  std::vector<RingKeys> rings;

  /// Throws Error{bad_input} for a file whose header is damaged, or whose sections are not those that it announces,
  /// Error{wrong_key} for one that the owner of the key did not sign.
  explicit KeyFileContents(const wire::FileReader& file);
  /// Whether the keys of a request are there, or longer ones.
  [[nodiscard]] bool serves(const ParametersSpec& ring, const KeyRequest& request) const;
};

/// The keys of an eval.key file that a plan asks for: each is read, checked and expanded at its first use. Thread-safe.
class KeyFile : public KeyProvider {
 public:
  /// Throws Error{bad_input} for a damaged file, Error{wrong_key} for one that lacks a key or that its owner did not
  /// sign.
  KeyFile(const Source& source, std::shared_ptr<const ring::Ring> ring, const ParametersSpec& parameters,
          const KeyRequest& request);

  /// Keys of the same source for another plan. Throws as the constructor does.
  [[nodiscard]] std::unique_ptr<KeyFile> also_for(std::shared_ptr<const ring::Ring> ring,
                                                  const ParametersSpec& parameters, const KeyRequest& request) const {
    return std::make_unique<KeyFile>(source_, std::move(ring), parameters, request);
  }

  const SwitchingKey& key(const KeyId& id) override;
  void prepare(std::span<const KeyId> ids) override;
  /// Frees a key if it is in memory; it is read again if someone asks.
  void drop(const KeyId& id);
  /// Reads everything once, calling check() now and then, which may throw. Throws Error{bad_input} if anything is
  /// damaged.
  void verify(const std::function<void()>& check = {}) const { file_.verify(check); }

  /// Of the whole file, signed or not.
  [[nodiscard]] wire::Checksum digest() const { return file_.digest(); }
  [[nodiscard]] const std::string& key_id() const { return contents_.key_id; }
  [[nodiscard]] std::uint64_t bytes() const { return file_.file_bytes(); }
  [[nodiscard]] const std::string& name() const { return file_.name(); }

 private:
  [[nodiscard]] SwitchingKey load(const KeyId& id) const;

  Source source_;
  std::shared_ptr<const ring::Ring> ring_;
  int ciphertext_primes_;
  std::vector<KeyTier> tiers_;  // of the plan
  wire::FileReader file_;
  KeyFileContents contents_;
  std::map<KeyId, FoundKey> stored_;
  std::mutex mutex_;
  std::map<KeyId, SwitchingKey> loaded_;
};

/// Length of the section of a key of this ring.
std::uint64_t key_bytes(const ParametersSpec& ring, const KeyShape& key);

}  // namespace sotto::ckks
