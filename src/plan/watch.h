#pragma once

#include <vector>

namespace sotto::plan {

inline constexpr int kMostProbeLimbs = 2;  ///< decryption reads no more

/// A tensor whose ciphertexts a run adds up, all phases and blocks, for the owner of the images, who sees in the sum
/// whose values left their range (docs/adr/0023).
struct Probe {
  int tensor = 0;            ///< index into Plan::tensors
  bool alternating = false;  ///< every other ciphertext, by a fixed pattern, is subtracted: for values of both signs
  int limbs = 1;             ///< of the sum, 1 or 2
  double bound = 0;          ///< largest magnitude of a sum, in any watched slot, of an image within its range

  bool operator==(const Probe&) const = default;
};

/// The slots of an image in which a probe means something: the first `places` places, and of each the tile rows 0,
/// row_gap, 2 row_gap, .. and columns likewise.
struct Watched {
  int places = 1, rows = 1, columns = 1, row_gap = 1, column_gap = 1;

  bool operator==(const Watched&) const = default;
};

/// A probe as its reader sees it.
struct ProbeView {
  int limbs = 1;
  double scale = 1, bound = 0;
  Watched watched;

  bool operator==(const ProbeView&) const = default;
};

/// What the owner of the images needs to see doubtful results.
struct Watch {
  std::vector<ProbeView> probes;  ///< in the order of an output file; the first is the input's
  double score_bound = 0;         ///< largest |score| that is no surprise; 0: unknown
  int reach = 1;                  ///< images by which a rotation passes beyond its own
  double score_error = 0;         ///< predicted root mean square error of the scores; 0: unknown
  double score_spread = 0;        ///< how far apart the scores lay on which it was predicted (plan::Prediction)
  double agreement = 0;           ///< part of the labels that the plan promises to keep
  double faint_error = 0;         ///< score_error where scores lie far closer than score_spread (plan::Prediction)

  bool operator==(const Watch&) const = default;
};

}  // namespace sotto::plan
