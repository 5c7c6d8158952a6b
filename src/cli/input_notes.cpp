#include "cli/input_notes.h"

#include "base/error.h"
#include "base/text.h"
#include "cli/console.h"

namespace sotto::cli {

namespace fs = std::filesystem;

fs::path key_folder(const std::string& keys) {
  return fs::is_directory(keys) ? fs::path(keys) : fs::path(keys).parent_path();
}

void remember_input(const std::string& keys, const std::string& id, const client::InputRecord& record) {
  try {
    client::write_input_record(key_folder(keys), id, record);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    print_note(std::string("no record of these images is kept beside the key (") + e.what() +
               "); name them again with --data to decrypt");
  }
}

std::optional<client::InputRecord> find_record(const std::string& keys, const std::string& id, IfMissing if_missing) {
  try {
    auto record = client::read_input_record(key_folder(keys), id);
    if (!record && if_missing == IfMissing::told && fs::exists(key_folder(keys) / "inputs"))
      print_note("the input " + readable_text(id) +
                 " is not noted beside the key: whether results are of the right input is not known; --for compares "
                 "them with its file");
    return record;
  } catch (const Error& e) {
    print_note(std::string(e.what()) +
               ": whether results are of the right input is not known; --for compares them with its file");
    return {};
  }
}

void remember_result(const std::string& keys, const std::string& id, const std::string& digest) {
  try {
    switch (client::remember_result(key_folder(keys), id, digest, check_stop)) {
      case client::Seen::never:
        return;
      case client::Seen::these:
        return print_note("these results of the input " + readable_text(id) + " were decrypted before");
      case client::Seen::others:
        return print_note("other results of the input " + readable_text(id) +
                          " were decrypted before: a server computed it again, with other keys or otherwise");
    }
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    print_note(std::string("that these results were decrypted is not noted beside the key: ") + e.what());
  }
}

}  // namespace sotto::cli
