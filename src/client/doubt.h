#pragma once

#include <string>
#include <vector>

namespace sotto::client {

/// Why the label of an image may be wrong, from none to worst.
enum class Doubt {
  none,
  error,      ///< its best scores lie so close that errors of encryption may exchange them
  neighbour,  ///< an image beside it in the ciphertexts left the range
  score,      ///< a score far beyond those of all calibration images
  range,      ///< its own values left the range
  spoiled,    ///< an image of the batch spoiled the results of all: there are no scores
  damaged,    ///< the results of the batch are damaged: there are no scores
};

/// A few words for tables; empty for none.
std::string text_of(Doubt doubt);

/// Numbers of the images that have one.
std::vector<std::size_t> doubtful(const std::vector<Doubt>& doubts);

/// One line that names the doubtful images and, if there are several batches of this size, their batches; empty if
/// there are none.
std::string summary_of(const std::vector<Doubt>& doubts, std::size_t batch);

}  // namespace sotto::client
