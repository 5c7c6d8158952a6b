#pragma once

#include <string>
#include <vector>

#include "compiler/compile.h"
#include "plan/cost.h"

namespace sotto::cli {

/// Imports and compiles a model with the packing that serves `images` images (0: 1024) in the least predicted time, in
/// one run or several, within `memory` (empty: what this machine has, if any packing keeps to that).
/// Throws Error{no_resources} if no packing fits `memory`.
plan::Plan make_plan(const std::string& model, int images, const std::string& memory);

/// Some images and the packing that serves them.
struct Part {
  plan::Plan plan;
  std::size_t images = 0;
};

/// The cheapest way to serve exactly `images` images (0: 1024) by predicted time: one packing, or full runs of one and
/// the rest in runs of a smaller one. `memory` and errors as for make_plan.
std::vector<Part> make_parts(const std::string& model, int images, const std::string& memory);

/// Throws Error{no_resources} if the plan needs more than `limit` bytes (0: no limit).
void require_memory(const plan::Cost& cost, std::uint64_t limit);

}  // namespace sotto::cli
