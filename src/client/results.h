#pragma once

#include <string>
#include <vector>

#include "client/key_files.h"
#include "client/origin.h"
#include "client/scores.h"
#include "plan/client_spec.h"

namespace sotto::client {

/// Options of decryption.
struct DecryptOptions {
  /// Noise flooding for results that leave the owner's hands (IND-CPA-D, see SECURITY.md): Gaussian noise of this
  /// standard deviation, in units of scores, is added to every score. 0: none.
  double flood = 0;
  bool digests = false;  ///< name the ciphertexts of scores that come out (Decrypted::digests)
  Origin origin = {};    ///< where the results must come from
};

struct Decrypted {
  Scores scores;              ///< [image][class]; not numbers where the whole batch is lost
  std::vector<Doubt> doubts;  ///< by image
  std::size_t batch = 0;      ///< images per batch
  ResultFile file = {};       ///< that they come from
  /// Hashes of the ciphertexts of scores, 32 hexadecimal digits each, and "lost K" in place of those of a damaged
  /// batch; none unless they were asked for. They cover all words of a ciphertext, and nothing else that its file says.
  std::vector<std::string> digests = {};
};

/// Decrypts an output file. Images whose values, or a neighbour's, left their range are marked; so are batches that are
/// damaged or do not decrypt, while the others come out (docs/adr/0023). Throws Error{wrong_key} if the file belongs to
/// another key or plan, is not signed as the plan promises, has another origin than expected or no batch decrypts,
/// Error{bad_input} if no batch can be read.
Decrypted decrypt_scores(const plan::ClientSpec& spec, const Keys& keys, const Source& source,
                         const DecryptOptions& options, const ProgressFn& progress);

}  // namespace sotto::client
