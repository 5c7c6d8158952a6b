#pragma once

#include <filesystem>
#include <string>

#include "plan/client_spec.h"

namespace sotto::client {

/// Whether keys were made for a plan.
enum class Known {
  yes,
  no,
  unrecorded,  ///< nothing is noted beside the key: it was copied, or made by other means
};

/// Notes in DIR/plans that keys of DIR were made for a plan. Its id binds all that its description says
/// (plan/identity.h). Throws Error{bad_input} if that cannot be written.
void remember_plan(const std::filesystem::path& dir, const plan::ClientSpec& spec);

/// Whether DIR has any notes.
bool has_notes(const std::filesystem::path& dir);

/// Removes all notes. Throws Error{bad_input} if that cannot be.
void forget_plans(const std::filesystem::path& dir);

/// What the notes say; key: a folder or the secret key in it. Throws Error{bad_input} if they may not be read.
Known known_plan(const std::filesystem::path& key, const std::string& plan_id);

}  // namespace sotto::client
