#pragma once

#include <string>
#include <vector>

#include "sotto/doubt.h"

namespace sotto::client {

/// Numbers of the images that have one.
std::vector<std::size_t> doubtful(const std::vector<Doubt>& doubts);

/// One line that names the doubtful images and, if there are several batches of this size, their batches; empty if
/// there are none.
std::string summary_of(const std::vector<Doubt>& doubts, std::size_t batch);

}  // namespace sotto::client
