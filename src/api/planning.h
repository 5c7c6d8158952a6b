#pragma once

#include "base/error.h"
#include "compiler/planning_hooks.h"
#include "sotto/hooks.h"

namespace sotto::api {

/// The making of a plan for whoever follows it. hooks must outlive it.
inline compiler::PlanningHooks planning_hooks_for(const Hooks& hooks) {
  compiler::PlanningHooks out;
  out.note = hooks.note;
  out.progress = [&hooks](const compiler::PlanningProgress& p) {
    if (hooks.stop != nullptr && *hooks.stop) throw Error(ErrorCode::interrupted, "planning was stopped");
    if (hooks.progress) hooks.progress({p.stage, p.done, p.what});
  };
  return out;
}

}  // namespace sotto::api
