#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "ckks/key_file.h"
#include "sotto/server.h"

namespace sotto {

/// What EvaluationKeys hold.
struct EvaluationKeys::State {
  std::unique_ptr<ckks::KeyFile> file;
  std::string plan_id;

  /// Throws Error{usage} unless they were opened for this plan.
  [[nodiscard]] ckks::KeyFile& of(const std::string& plan) const {
    if (plan != plan_id)
      throw Error(ErrorCode::usage, "these evaluation keys were opened for another plan: open them again");
    return *file;
  }
};

}  // namespace sotto
