#pragma once

#include <string>

namespace sotto::cli {

/// Throws Error{wrong_key} if `keygen` made keys in this folder, but none for this plan; says so if nothing is known.
/// client: the file that describes the plan.
void require_known(const std::string& keys, const std::string& client, const std::string& plan_id);

}  // namespace sotto::cli
