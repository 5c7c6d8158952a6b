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
  KeyId id;
  Seed seed;
  std::vector<ring::RnsPoly> b;  ///< per digit, limbs in the order of SwitchingKey
};

/// Expands the seed. ciphertext_primes: of the parameters.
SwitchingKey expand(const ring::Ring& ring, const KeyTier& tier, int ciphertext_primes, SeededSwitchingKey key);

/// Writes eval.key (docs/formats/keys.md), one section per key, in the order of the request.
class KeyFileWriter {
 public:
  /// key_id: identity of the secret key; plan_id: the plan that asked for these keys.
  KeyFileWriter(const Sink& sink, const ring::Ring& ring, const ParametersSpec& parameters, const KeyRequest& request,
                const std::string& plan_id, const std::string& key_id);

  void write(const SeededSwitchingKey& key);
  void commit() { file_.commit(); }

 private:
  const ring::Ring& ring_;
  wire::FileWriter file_;
};

/// The keys of an eval.key file: each is read, checked and expanded at its first use. Thread-safe.
class KeyFile : public KeyProvider {
 public:
  /// Throws Error{bad_input} for a damaged file, Error{wrong_key} for one made for another plan.
  KeyFile(const Source& source, std::shared_ptr<const ring::Ring> ring, const ParametersSpec& parameters,
          const KeyRequest& request, const std::string& plan_id);

  const SwitchingKey& key(const KeyId& id) override;
  void prepare(std::span<const KeyId> ids) override;
  /// Frees the keys of a tier that are in memory; they are read again if someone asks.
  void drop_tier(int tier);
  /// Reads everything once, calling check() now and then, which may throw. Throws Error{bad_input} if anything is
  /// damaged.
  void verify(const std::function<void()>& check = {}) const { file_.verify(check); }

  [[nodiscard]] const std::string& key_id() const { return key_id_; }
  [[nodiscard]] std::uint64_t bytes() const { return file_.file_bytes(); }
  [[nodiscard]] const std::string& name() const { return file_.name(); }

 private:
  [[nodiscard]] SwitchingKey load(const KeyId& id) const;

  std::shared_ptr<const ring::Ring> ring_;
  int ciphertext_primes_;
  KeyRequest request_;
  wire::FileReader file_;
  std::string key_id_;
  std::mutex mutex_;
  std::map<KeyId, SwitchingKey> loaded_;
};

/// Length of every section of an eval.key file.
std::vector<std::uint64_t> key_section_bytes(std::size_t n, int prime_bits, const KeyRequest& request);

}  // namespace sotto::ckks
