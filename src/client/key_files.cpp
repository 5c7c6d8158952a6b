#include "client/key_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "client/folder_lock.h"
#include "client/known_plans.h"
#include "encrypt/public_key_file.h"
#include "secret/keygen.h"
#include "wire/fields.h"
#include "wire/outputs.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::client {

namespace fs = std::filesystem;

namespace {

bool is_there(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(path, unknown);
}

fs::path key_path(const fs::path& path) {
  std::error_code unknown;
  return fs::is_directory(path, unknown) ? path / "secret.key" : path;
}

// Makes a folder and those above it that are missing. Those that are still empty at the end are removed again, once the
// folder is ours: of an interrupted run nothing stays, and of another program's folder nothing goes.
class MadeFolder {
 public:
  explicit MadeFolder(const fs::path& dir) {
    std::error_code error;
    for (fs::path p = fs::absolute(dir).lexically_normal(); !p.empty() && !fs::exists(p, error); p = p.parent_path()) {
      if (!p.filename().empty()) made_.push_back(p);
      if (p == p.parent_path()) break;
    }
    fs::create_directories(dir, error);
    if (error) throw Error(ErrorCode::bad_input, "cannot make the folder " + dir.string() + ": " + error.message());
  }
  ~MadeFolder() {
    std::error_code ignored;
    if (ours_)
      for (const fs::path& p : made_) fs::remove(p, ignored);  // only if it is empty
  }
  void is_ours() { ours_ = true; }
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;

 private:
  std::vector<fs::path> made_;
  bool ours_ = false;
};

// Throws unless there is room for so many bytes where a file is to be written.
void require_room(const fs::path& file, std::uint64_t bytes) {
  std::error_code unknown;
  const fs::path target = wire::output_target(file), folder = target.has_parent_path() ? target.parent_path() : ".";
  const std::uintmax_t room = fs::space(folder, unknown).available;
  if (!unknown && room < bytes)
    throw Error(ErrorCode::no_resources,
                fmt::format("the evaluation keys take {}, {} has {} left; free some space or choose another place",
                            format_bytes(static_cast<double>(bytes)), folder.string(),
                            format_bytes(static_cast<double>(room))));
}

}  // namespace

Keys keys_of(const secret::OwnerKey& owner, ckks::Parameters parameters) {
  auto ring = parameters.make_ring(simd::select_kernels());
  auto secret = owner.secret_of(ring, parameters.spec().security);
  return {std::move(parameters), std::move(ring), std::move(secret), owner.signing_key()};
}

void write_owner_key(const secret::OwnerKey& key, const fs::path& path, bool replace) {
  const fs::path file_path = key_path(path);
  if (is_there(file_path) && !replace)
    throw Error(ErrorCode::usage,
                file_path.string() +
                    " exists; choose another place, or replace it (results under it can then never be decrypted)",
                Setting::keys);
  wire::FileWriter file(file_path, wire::Kind::secret_key, {{"key_id", key.id()}}, {secret::OwnerKey::kBytes},
                        replace ? wire::Access::secret_key : wire::Access::new_secret_key);
  file.write({key.bytes().data(), key.bytes().size()});
  file.commit();
}

secret::OwnerKey read_owner_key(const fs::path& path) {
  const wire::FileReader file(key_path(path), wire::Kind::secret_key);
  return file.decode([&](const auto& h) {
    if (file.sections() != 1 || file.section_bytes(0) != secret::OwnerKey::kBytes) file.fail("it holds no secret key");
    SecretArray<unsigned char> bytes(secret::OwnerKey::kBytes);
    file.read(0, {bytes.data(), bytes.size()});
    secret::OwnerKey key(bytes);
    if (key.id() != wire::text(h, "key_id", 64)) file.fail("the key does not fit its identity");
    return key;
  });
}

std::uint64_t evaluation_key_bytes(const ckks::KeyList& list) {
  std::uint64_t bytes = 0;
  for (const ckks::RingKeys& r : list.rings())
    for (const ckks::KeyShape& shape : r.keys) bytes += ckks::key_bytes(r.ring, shape);
  return bytes;
}

void write_evaluation_keys(const ckks::KeyList& list, const secret::OwnerKey& owner, const Sink& sink,
                           const ProgressFn& progress, const std::function<void()>& before_commit) {
  const signing::SigningKey signing = owner.signing_key();
  ckks::KeyFileWriter file(sink, list, signing);
  const std::size_t total = list.size();
  std::size_t done = 0;
  for (const ckks::RingKeys& r : list.rings()) {
    const auto ring =
        std::make_shared<const ring::Ring>(r.ring.log_n, r.ring.kind, ckks::primes_of(r.ring), simd::select_kernels());
    const secret::SecretKey secret = owner.secret_of(ring, r.ring.security);
    const secret::KeyGenerator generator(r.ring.ciphertext_primes, secret);
    for (const ckks::KeyShape& shape : r.keys) {
      if (progress) progress(done++, total);
      file.write(*ring, generator.switching_key(shape));
    }
  }
  if (progress) progress(total, total);  // the last chance to stop
  if (before_commit) before_commit();
  file.commit();
}

void write_public_key(const plan::ClientSpec& spec, const Keys& keys, const Sink& sink) {
  const secret::KeyGenerator generator(spec.parameters.ciphertext_primes, keys.secret);
  encrypt::write_public_key(sink, *keys.ring, spec.parameters, generator.public_key(spec.input.level.limbs),
                            keys.signing);
}

namespace {

// Whether a public key of this owner is there and long enough. A longer one takes the place of one that is too short.
bool public_key_serves(const fs::path& path, const plan::ClientSpec& spec, const std::string& owner_id) {
  if (!is_there(path)) return false;
  const encrypt::PublicKeyFile there(path);
  if (there.key_id() != owner_id || !there.same_ring(spec.parameters))
    throw Error(ErrorCode::usage, path.string() + " holds a key of another owner or ring; choose another name",
                Setting::keys);
  return there.serves(spec.parameters, spec.input.level.limbs);
}

// A file of evaluation keys that is there may be replaced by one that serves whatever it serves.
void require_replaceable(const fs::path& path, const ckks::KeyList& list, const std::string& owner_id) {
  const wire::FileReader file(path, wire::Kind::eval_key);
  const ckks::KeyFileContents there(file);
  if (there.key_id != owner_id)
    throw Error(ErrorCode::usage, path.string() + " holds the keys of another owner; choose another name",
                Setting::keys);
  for (const ckks::RingKeys& r : there.rings)
    for (const ckks::KeyShape& k : r.keys)
      if (!ckks::find_key(list.rings(), r.ring, k))
        throw Error(ErrorCode::usage,
                    path.string() + " holds keys of another plan; name the client files of both, or another file",
                    Setting::keys);
}

// The plan whose input has the most levels: a public key for it serves all plans of its ring.
const PlanToServe& longest_input(const std::vector<PlanToServe>& plans) {
  for (const PlanToServe& p : plans)
    if (!ckks::same_ring(p.spec.parameters, plans.front().spec.parameters))
      throw Error(ErrorCode::usage, "these plans have different rings; make a public key for each of them",
                  Setting::keys);
  return *std::ranges::max_element(plans, {}, [](const PlanToServe& p) { return p.spec.input.level.limbs; });
}

}  // namespace

MadeKeys make_keys(const std::vector<PlanToServe>& plans, const fs::path& dir, const KeyFileOptions& options,
                   const ProgressFn& progress) {
  check(!plans.empty(), "keys for no plan");
  const bool elsewhere = !options.evaluation_keys.empty(), with_public = !options.public_key.empty();
  const fs::path secret_path = dir / "secret.key",
                 evaluation_path = elsewhere ? options.evaluation_keys : dir / "eval.key";
  wire::require_distinct(evaluation_path, secret_path);
  wire::require_distinct(options.public_key, secret_path);
  wire::require_distinct(options.public_key, evaluation_path);
  ckks::KeyList list;
  for (const PlanToServe& p : plans) list.add(p.parameters, p.spec.keys);
  const PlanToServe* longest = with_public ? &longest_input(plans) : nullptr;
  MadeFolder folder(dir);
  const FolderLock lock(dir, FolderLock::IfHeld::refuse);  // before looking what is there
  folder.is_ours();
  const bool noted = has_notes(dir);
  MadeKeys made{.secret = options.replace || !is_there(secret_path)};
  bool with_evaluation = true;
  if (is_there(evaluation_path) && !elsewhere && !options.replace) {
    if (!with_public || made.secret)
      throw Error(ErrorCode::usage,
                  evaluation_path.string() +
                      " exists; give those of this plan another file, or replace all keys "
                      "(results under the secret key can then never be decrypted)",
                  Setting::keys);
    with_evaluation = false;
  }
  if (with_public) wire::require_writable(options.public_key, wire::Kind::public_key);
  const secret::OwnerKey owner = made.secret ? secret::OwnerKey::generate() : read_owner_key(secret_path);
  if (elsewhere && !options.replace && is_there(evaluation_path))
    require_replaceable(evaluation_path, list, owner.id());
  made.public_key =
      with_public && (options.replace || !public_key_serves(options.public_key, longest->spec, owner.id()));
  made.key_id = owner.id();
  // A first secret key gets its name before the evaluation keys: without it they would serve nobody, and stand in the
  // way of the next run. One that is replaced stays until nothing else can go wrong.
  const bool first = made.secret && !options.replace;
  if (with_evaluation) {
    require_room(evaluation_path, evaluation_key_bytes(list));
    write_evaluation_keys(list, owner, evaluation_path, progress, [&] {
      if (first) write_owner_key(owner, secret_path, false);
    });
    made.evaluation = list.size();
  }
  if (made.secret && !(first && with_evaluation)) write_owner_key(owner, secret_path, options.replace);
  if (made.public_key)  // last: nobody may encrypt for a key that is lost
    write_public_key(longest->spec, keys_of(owner, longest->parameters), options.public_key);
  if (options.replace) forget_plans(dir);
  // Keys that were copied here are for plans that nobody knows of: no notes rather than some.
  if (with_evaluation && (made.secret || noted))
    for (const PlanToServe& p : plans) remember_plan(dir, p.spec);
  return made;
}

Keys read_keys(ckks::Parameters parameters, const fs::path& dir) {
  return keys_of(read_owner_key(dir), std::move(parameters));
}

}  // namespace sotto::client
