#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "fuzz/targets.h"
#include "support/files.h"
#include "wire/format.h"

namespace sotto::fuzz {

/// A Sotto file as fuzz inputs hold it: the header's text, a NUL, the bytes of all sections one after the other. No
/// version, length or checksum is in it, so that what is varied always gets past these.
struct ContainerInput {
  std::string text;       ///< of the header
  nlohmann::json header;  ///< what it says; discarded if it is no JSON object
  test::Bytes data;

  explicit ContainerInput(Input input);

  /// The file with right checksums, and a right signature if toy_owner() is its signer. Sections are as long as the
  /// header says, as far as there are data; the last takes what is left.
  [[nodiscard]] test::Bytes file(wire::Kind kind);
};

/// The same of a whole file, for corpora.
test::Bytes container_input_of(const test::Bytes& file, wire::Kind kind);

}  // namespace sotto::fuzz
