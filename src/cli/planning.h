#pragma once

#include <string>

#include "compiler/compile.h"
#include "plan/cost.h"

namespace sotto::cli {

/// Imports and compiles a model. batch 0: 1024, or the largest that fits in `memory` (empty: no limit).
/// Throws Error{no_resources} if the batch asked for does not fit.
plan::Plan make_plan(const std::string& model, int batch, const std::string& memory);

}  // namespace sotto::cli
