#pragma once

#include "plan/plan.h"

namespace sotto::compiler {

/// Drops steps whose output no later step reads, and their tensors.
void drop_unread_steps(plan::Plan& lowered);

}  // namespace sotto::compiler
