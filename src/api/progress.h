#pragma once

#include <string>

#include "base/error.h"
#include "inputs/write_input.h"
#include "sotto/hooks.h"

namespace sotto::api {

/// Progress of one stage for whoever follows it. hooks must outlive it.
inline inputs::ProgressFn progress_for(const Hooks& hooks, const char* stage) {
  return [&hooks, stage](std::size_t done, std::size_t total) {
    if (hooks.stop != nullptr && *hooks.stop) throw Error(ErrorCode::interrupted, std::string(stage) + " was stopped");
    if (hooks.progress)
      hooks.progress({stage, total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total), {}});
  };
}

}  // namespace sotto::api
