#include "cli/earlier_training.h"

#include <sodium.h>

#include <fstream>
#include <utility>

#include "base/error.h"
#include "base/hex.h"
#include "client/key_files.h"
#include "wire/atomic_file.h"
#include "wire/reader.h"

namespace sotto::cli {

namespace fs = std::filesystem;

namespace {

// Tells examples from others.
std::string digest_of(const std::vector<training::Example>& examples) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 32);
  const auto add = [&](const void* data, std::size_t bytes) {
    crypto_generichash_update(&state, static_cast<const unsigned char*>(data), bytes);
  };
  for (const training::Example& e : examples) {
    add(&e.label, sizeof e.label);
    add(e.image.data(), e.image.size() * sizeof(double));
  }
  unsigned char hash[32];
  crypto_generichash_final(&state, hash, sizeof hash);
  return to_hex(hash);
}

bool file_says(const fs::path& path, const std::string& text) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) && line == text;
}

// Whether it is the file that is at fault, not a lack of memory or descriptors.
bool says_damage(const Error& e) { return e.code() == ErrorCode::bad_input || e.code() == ErrorCode::wrong_key; }

// Of the secret key in a folder; empty if there is none.
std::string key_in(const WorkFolder& work) {
  try {
    return fs::exists(work / "secret.key") ? client::read_owner_key(work.path()).id() : "";
  } catch (const Error& e) {  // damaged: nothing can be decrypted with it
    if (!says_damage(e)) throw;
    return "";
  }
}

}  // namespace

EarlierTraining::EarlierTraining(const WorkFolder& work, std::string plan_id,
                                 const std::vector<training::Example>& examples)
    : work_(work), plan_id_(std::move(plan_id)), digest_(digest_of(examples)) {}

void EarlierTraining::require_no_others() const {
  const std::string part = work_ / "out.sotto.part";
  if (!fs::exists(part) || fs::is_empty(part)) return;
  const wire::AtomicFile no_other_run(work_ / "out.sotto", wire::Access::everyone, wire::Kind::output,
                                      wire::AtomicFile::Temporary::continued);
  const nlohmann::json header = [&] {
    try {
      return wire::read_header(part, wire::Kind::output);
    } catch (const Error& e) {
      throw Error(e.code(), std::string(e.what()) + "; remove the file, and the training begins anew");
    }
  }();
  const auto says = [&](const char* name, const std::string& text) {
    const auto found = header.find(name);
    return found != header.end() && *found == text;
  };
  const std::string key = key_in(work_);
  const auto input = this->input(key);
  if (!input || !says("plan_id", plan_id_) || !says("key_id", key) || !says("input_id", input->input_id))
    throw Error(ErrorCode::wrong_key, part +
                                          " holds unfinished steps of another training (other images, another model "
                                          "or spec): finish that one with its own command, name another --work, or "
                                          "remove the file");
}

// Nothing for what is damaged: it is made again.
std::optional<ckks::CiphertextFileInfo> EarlierTraining::read(const char* name, wire::Kind kind,
                                                              const std::string& key_id) const {
  if (!fs::exists(work_ / name)) return std::nullopt;
  try {
    const ckks::CiphertextFileInfo info = ckks::CiphertextReader(work_ / name, kind).info();
    if (info.plan_id == plan_id_ && info.key_id == key_id) return info;
  } catch (const Error& e) {
    if (!says_damage(e)) throw;
  }
  return std::nullopt;
}

std::optional<ckks::CiphertextFileInfo> EarlierTraining::input(const std::string& key_id) const {
  return file_says(work_ / "in.examples", digest_) ? read("in.sotto", wire::Kind::input, key_id) : std::nullopt;
}

std::optional<ckks::CiphertextFileInfo> EarlierTraining::output(const std::string& key_id) const {
  return read("out.sotto", wire::Kind::output, key_id);
}

void EarlierTraining::forget_examples() const {
  std::error_code error;
  fs::remove(work_ / "in.examples", error);
  if (error) throw Error(ErrorCode::bad_input, "cannot remove " + work_ / "in.examples" + ": " + error.message());
}

void EarlierTraining::keep_examples() const { wire::write_file(work_ / "in.examples", digest_ + "\n"); }

}  // namespace sotto::cli
