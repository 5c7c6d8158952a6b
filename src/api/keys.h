#pragma once

#include <memory>

#include "ckks/key_file.h"
#include "sotto/server.h"

namespace sotto {

/// What EvaluationKeys hold.
struct EvaluationKeys::State {
  std::unique_ptr<ckks::KeyFile> file;
};

}  // namespace sotto
