#pragma once

#include <string>

namespace sotto {

/// Why the label of an image may be wrong, from none to worst (docs/adr/0023).
enum class Doubt {
  none,
  error,      ///< its best scores lie so close that errors of encryption may exchange them
  neighbour,  ///< an image beside it in the ciphertexts left the range
  score,      ///< a score far beyond those of all calibration images
  range,      ///< its own values left the range
  spoiled,    ///< an image of the batch spoiled the results of all: there are no scores
  damaged,    ///< the results of the batch are damaged: there are no scores
};

/// A few words for tables, such as "left the range"; empty for none.
std::string text_of(Doubt doubt);

}  // namespace sotto
