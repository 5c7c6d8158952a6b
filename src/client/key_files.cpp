#include "client/key_files.h"

#include "base/error.h"
#include "plan/plan_file.h"
#include "secret/keygen.h"
#include "wire/fields.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::client {

namespace fs = std::filesystem;

namespace {

void write_secret(const fs::path& path, const plan::ClientSpec& spec, const secret::SecretKey& key) {
  const nlohmann::json header = {
      {"plan_id", spec.plan_id}, {"key_id", key.id()}, {"parameters", plan::to_json(spec.parameters)}};
  wire::FileWriter file(path, wire::Kind::secret_key, header, {secret::SecretKey::kSeedBytes},
                        wire::Access::secret_key);
  file.write({key.seed().data(), key.seed().size()});
  file.commit();
}

// Makes a folder and those above it that are missing. Those that are still empty at the end are removed again: of an
// interrupted run nothing stays.
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
    for (const fs::path& p : made_) fs::remove(p, ignored);  // only if it is empty
  }
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;

 private:
  std::vector<fs::path> made_;
};

}  // namespace

void make_keys(const plan::ClientSpec& spec, const ckks::Parameters& parameters, const fs::path& dir, bool replace,
               const ProgressFn& progress) {
  const fs::path secret_path = dir / "secret.key", eval_path = dir / "eval.key";
  std::error_code error;
  if (fs::exists(secret_path, error) && !replace)
    throw Error(
        ErrorCode::usage,
        secret_path.string() +
            " exists; choose another folder, or --force to replace it (results under it can then never be decrypted)");
  const MadeFolder made(dir);
  if (parameters.security_bits() > 0) ckks::require_secure(spec.parameters, spec.keys);
  const auto ring = parameters.make_ring(simd::select_kernels());
  const auto key = secret::SecretKey::generate(ring);
  const secret::KeyGenerator generator(parameters, key);
  ckks::KeyFileWriter file(eval_path, *ring, spec.parameters, spec.keys, spec.plan_id, key.id());
  const std::size_t total = spec.keys.keys.size();
  for (std::size_t k = 0; k < total; ++k) {
    const ckks::KeyId& id = spec.keys.keys[k];
    if (progress) progress(k, total);
    file.write(generator.switching_key(spec.keys.tiers[static_cast<std::size_t>(id.tier)], id));
  }
  file.commit();
  write_secret(secret_path, spec, key);
  if (progress) progress(total, total);
}

Keys read_keys(const plan::ClientSpec& spec, ckks::Parameters parameters, const fs::path& dir) {
  std::error_code unknown;
  const wire::FileReader file(fs::is_directory(dir, unknown) ? dir / "secret.key" : dir, wire::Kind::secret_key);
  return file.decode([&](const auto& h) {
    if (wire::text(h, "plan_id", 64) != spec.plan_id)
      throw Error(ErrorCode::wrong_key,
                  file.path().string() + " was made for another plan; use the keys made with this client file");
    if (file.sections() != 1 || file.section_bytes(0) != secret::SecretKey::kSeedBytes)
      file.fail("it holds no secret key");
    SecretArray<unsigned char> seed(secret::SecretKey::kSeedBytes);
    file.read(0, {seed.data(), seed.size()});
    auto ring = parameters.make_ring(simd::select_kernels());
    auto key = secret::SecretKey::from_seed(ring, seed);
    if (key.id() != wire::text(h, "key_id", 64)) file.fail("the key does not fit its identity");
    return Keys{std::move(parameters), std::move(ring), std::move(key)};
  });
}

}  // namespace sotto::client
