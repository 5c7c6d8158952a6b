#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/sampler.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::ckks {

/// A symmetric encryption as it travels: c0 and the seed of c1 (stream `stream`).
struct SeededCiphertext {
  ring::RnsPoly c0;
  Seed seed;
  std::uint64_t stream = 0;
  double scale = 1;
};

/// Expands the seed.
Ciphertext expand(const ring::Ring& ring, SeededCiphertext c);

/// What a ciphertext in a file looks like.
struct CiphertextShape {
  Level level;
  double scale = 1;
};

/// What a file of ciphertexts says about itself.
struct CiphertextFileInfo {
  std::string plan_id, key_id;
  std::string input_id;         ///< names the input, in both its file and the output's
  std::uint64_t images = 0;     ///< in all batches together
  std::uint64_t batch = 0;      ///< images per batch; the last one may hold fewer
  std::uint64_t per_batch = 0;  ///< ciphertexts per batch, probes apart
  Level level;                  ///< of each of these
  double scale = 1;
  std::optional<Seed> seed = {};             ///< inputs under the secret key only: c1 of ciphertext k is stream k
  std::vector<CiphertextShape> probes = {};  ///< what follows them in every batch: probes, labels or losses
  /// What comes before all batches, so many times: the features of a training with what tells their owner whether they
  /// can be believed.
  std::vector<CiphertextShape> lead = {};
  std::uint64_t leads = 0;
  wire::Checksum input_digest = {};                           ///< outputs only: of the input's file
  std::optional<signing::VerificationKey> input_signer = {};  ///< outputs only: who signed that, if anyone did

  /// Ciphertexts before the first batch.
  [[nodiscard]] std::uint64_t lead_sections() const { return leads * lead.size(); }
  /// All in the file.
  [[nodiscard]] std::uint64_t sections() const { return lead_sections() + batches() * sections_per_batch(); }
  /// Ciphertexts of a batch in the file.
  [[nodiscard]] std::uint64_t sections_per_batch() const { return per_batch + probes.size(); }
  /// Of number k of the file.
  [[nodiscard]] CiphertextShape shape(std::uint64_t k) const {
    if (k < lead_sections()) return lead[k % lead.size()];
    const std::uint64_t within = (k - lead_sections()) % sections_per_batch();
    return within < per_batch ? CiphertextShape{level, scale} : probes[within - per_batch];
  }
  [[nodiscard]] std::uint64_t batches() const { return (images + batch - 1) / batch; }
};

/// Writes IN.sotto (c0, and c1 unless it comes from a seed) or OUT.sotto (c0 and c1), see docs/formats/ciphertexts.md.
class CiphertextWriter {
 public:
  /// resumable: batches that are finished are kept if the work is interrupted (see wire::FileWriter). signer: whose key
  /// signs the file, if any; it must outlive this.
  CiphertextWriter(const Sink& sink, wire::Kind kind, const ring::Ring& ring, const CiphertextFileInfo& info,
                   bool resumable = false, const signing::SigningKey* signer = nullptr);

  /// Ciphertexts that are there already, at first those of an earlier run.
  [[nodiscard]] std::size_t finished() const { return file_.finished(); }

  void write(const SeededCiphertext& c);
  void write(const Ciphertext& c);
  /// Number k of those that are there already, of a resumable output.
  [[nodiscard]] Ciphertext read_back(std::uint64_t k) const;
  void commit() { file_.commit(); }
  /// See wire::FileWriter.
  [[nodiscard]] wire::Checksum digest() const { return file_.digest(); }

 private:
  void write(const ring::RnsPoly& poly);

  const ring::Ring& ring_;
  CiphertextFileInfo info_;
  wire::FileWriter file_;
};

/// Reads either.
class CiphertextReader {
 public:
  /// Throws Error{bad_input} for a damaged file, Error{wrong_key} for one with a wrong signature.
  CiphertextReader(const Source& source, wire::Kind kind);

  [[nodiscard]] const CiphertextFileInfo& info() const { return info_; }
  [[nodiscard]] std::uint64_t bytes() const { return file_.file_bytes(); }
  [[nodiscard]] const std::string& name() const { return file_.name(); }
  /// Who signed it, if anyone did, and what identifies the whole file: see wire::FileReader.
  [[nodiscard]] const std::optional<signing::VerificationKey>& signer() const { return file_.signer(); }
  [[nodiscard]] wire::Checksum digest() const { return file_.digest(); }
  /// Throws Error{wrong_key} unless the file belongs to this plan, Error{bad_input} unless it has the plan's sizes.
  void expect(const std::string& plan_id, std::uint64_t batch, std::uint64_t per_batch, const Level& level,
              double scale, const ring::Ring& ring, std::span<const CiphertextShape> probes = {},
              std::span<const CiphertextShape> lead = {}) const;
  /// Reads everything once, calling check() now and then, which may throw. Throws Error{bad_input} if anything is
  /// damaged.
  void verify(const std::function<void()>& check = {}) const { file_.verify(check); }
  /// Ciphertext k of the file.
  [[nodiscard]] Ciphertext read(const ring::Ring& ring, std::uint64_t k) const;

 private:
  wire::Kind kind_;
  wire::FileReader file_;
  CiphertextFileInfo info_;
};

/// Length of one ciphertext's section. seeded: of an input under the secret key.
std::uint64_t ciphertext_bytes(wire::Kind kind, std::size_t n, int prime_bits, const Level& level, bool seeded = true);

}  // namespace sotto::ckks
