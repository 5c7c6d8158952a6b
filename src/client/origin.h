#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ckks/ciphertext_file.h"

namespace sotto::client {

/// Where results must come from. What is left out may be anything.
struct Origin {
  std::optional<signing::VerificationKey> signer = {};        ///< who computed them
  std::string input_id = {};                                  ///< of the input; empty: any
  std::optional<wire::Checksum> input_digest = {};            ///< of the input's file
  std::optional<signing::VerificationKey> input_signer = {};  ///< who encrypted it
  bool by_owner = false;  ///< that was the owner of the key: an id alone can be given to another input
  /// Of the input: there must be results for as many, and a training must have seen whole batches of them all.
  std::optional<std::uint64_t> images = {};
};

/// What a file of results says of itself.
struct ResultFile {
  std::string input_id = {};                                  ///< of the input
  wire::Checksum digest{};                                    ///< of the file
  std::optional<signing::VerificationKey> signer = {};        ///< who computed them
  std::optional<signing::VerificationKey> input_signer = {};  ///< who signed the input, as the file says
};

ResultFile result_file_of(const ckks::CiphertextReader& results);

/// Throws Error{wrong_key} unless a file of results is signed by whom its plan promises, if it does, and comes from
/// where it is expected to. What it says of its input is worth as much as its signature.
void require_origin(const ckks::CiphertextReader& results, const std::optional<signing::VerificationKey>& promised,
                    const Origin& expected);

}  // namespace sotto::client
