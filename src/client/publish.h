#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "client/disclosure.h"
#include "client/results.h"
#include "client/scores.h"

namespace sotto::client {

/// What is published.
enum class Published { labels, scores };

/// How results are published.
struct PublishOptions {
  Published what = Published::labels;
  Target target;
  Origin origin = {};  ///< where the results must come from
};

/// Results that may be given away (IND-CPA-D, see SECURITY.md), and what is for their owner only.
struct Publication {
  std::vector<int> labels;      ///< by image; -1: withheld
  Scores scores;                ///< [image][class], flooded and rounded, not numbers where withheld; empty for labels
  Noise noise;                  ///< with which they were made
  double key_bits = 0;          ///< that recovering the key costs, with all releases under it (client::key_bits)
  double statistical_bits = 0;  ///< statistical security with all of them
  bool again = false;           ///< they were published before
  std::vector<Doubt> doubts = {};  ///< by image, for the owner; images whose values left their range are withheld
  std::size_t batch = 0;           ///< images per batch
  ResultFile file = {};            ///< that they come from

  /// Images of which nothing is said: without scores, or where these are not published without a label.
  [[nodiscard]] std::size_t withheld() const;
};

/// Decrypts an output file for others: labels that lead by a margin, or flooded scores, with noise as disclosure.h has
/// it. The noise is derived from the owner's key and the ciphertexts, so that the same request gives the same results;
/// DIR/releases remembers it (client/releases.h), and any other request for these ciphertexts is refused. Errors as for
/// decrypt_scores, noise_of_scores and remember_release; Error{usage} for labels of a single score, Error{bad_input} if
/// the plan does not say how much its scores err.
///
/// keys: those of the owner for the plan.
Publication publish_results(const plan::ClientSpec& spec, const secret::OwnerKey& owner, const Keys& keys,
                            const std::filesystem::path& dir, const Source& source, const PublishOptions& options,
                            const ProgressFn& progress);

/// "labels" or "scores".
const char* name_of(Published what);

/// One line per image: index, label and class (empty where withheld), and the same on every line, deviation of the
/// noise, margin, key_bits and statistical_bits. RFC 4180.
void write_published_csv(const std::filesystem::path& path, const Publication& publication, const plan::Interface& io);

}  // namespace sotto::client
