#include "client/known_plans.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "wire/atomic_file.h"

namespace sotto::client {

namespace fs = std::filesystem;

namespace {

// Ids are names of files here.
fs::path note_of(const fs::path& dir, const std::string& id) {
  check(id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos, "a plan without identity");
  return dir / "plans" / (id + ".json");
}

}  // namespace

void remember_plan(const fs::path& dir, const plan::ClientSpec& spec) {
  const fs::path note = note_of(dir, spec.plan_id);
  std::error_code error;
  if (fs::exists(note, error)) return;
  if (fs::create_directories(note.parent_path(), error))
    fs::permissions(note.parent_path(), fs::perms::owner_all, error);
  if (error)
    throw Error(ErrorCode::bad_input, "cannot make the folder " + note.parent_path().string() + ": " + error.message());
  const std::string text = nlohmann::json{{"network", spec.network}}.dump() + "\n";
  wire::AtomicFile file(note, wire::Access::owner_only);
  file.write({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
  file.commit();
}

bool has_notes(const fs::path& dir) {
  std::error_code unknown;
  return fs::exists(dir / "plans", unknown);
}

void forget_plans(const fs::path& dir) {
  std::error_code error;
  fs::remove_all(dir / "plans", error);
  if (error)
    throw Error(ErrorCode::bad_input, "cannot remove the folder " + (dir / "plans").string() + ": " + error.message());
}

Known known_plan(const fs::path& key, const std::string& plan_id) {
  std::error_code error;
  const fs::path dir = fs::is_directory(key, error) ? key : key.parent_path();
  const fs::path note = note_of(dir, plan_id);
  if (fs::exists(note, error)) return Known::yes;
  if (error == std::errc::permission_denied)
    throw Error(ErrorCode::bad_input, "cannot read " + note.string() + ": " + error.message());
  return has_notes(dir) ? Known::no : Known::unrecorded;
}

}  // namespace sotto::client
