#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "client/disclosure.h"

namespace sotto::client {

/// Results that are published.
struct Release {
  std::string key_id;        ///< of the key that decrypts them
  std::string what;          ///< "labels" or "scores"
  std::string deviation;     ///< of the noise: Noise::text
  std::string plan_id;       ///< which says where in the ciphertexts scores lie, and at what scale
  std::uint64_t images = 0;  ///< whose results they are
  std::vector<std::string>
      ciphertexts;          ///< hash of each, 32 hexadecimal digits (digest_of), or what stands for a lost one
  Divergence divergence{};  ///< what they tell at most

  /// 32 hexadecimal digits, a hash of all that: names the record, so that damage is found, and what the noise is made
  /// for.
  [[nodiscard]] std::string id() const;
};

/// A release as it stands among those before it.
struct Remembered {
  bool again = false;     ///< it was published before, with the same noise
  Divergence together{};  ///< what all releases under this key tell
};

/// Remembers a release in DIR/releases (mode 0600), before anybody sees it. Whatever program asks, and when: of a
/// ciphertext there is one release. Throws Error{usage} if one of the ciphertexts was published in another way or is
/// there twice, or if all releases together no longer meet the target; Error{bad_input} if a record cannot be read or
/// written. waiting: as for FolderLock, while another program publishes.
Remembered remember_release(const std::filesystem::path& dir, const Release& release, const Target& target,
                            const std::function<void()>& waiting = {});

}  // namespace sotto::client
