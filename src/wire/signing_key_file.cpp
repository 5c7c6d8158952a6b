#include "wire/signing_key_file.h"

#include "base/error.h"
#include "wire/fields.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::wire {

void write_signing_key(const std::filesystem::path& path, const signing::SigningKey& key) {
  std::error_code unknown;
  if (std::filesystem::exists(path, unknown))
    throw Error(ErrorCode::usage, path.string() + " exists; choose another name");
  const SecretArray<unsigned char> seed = key.seed();
  FileWriter file(path, Kind::signing_key, {{"verification_key", signing::to_text(key.verification_key())}},
                  {seed.size()}, Access::new_secret_key);
  file.write({seed.data(), seed.size()});
  file.commit();
}

signing::SigningKey read_signing_key(const std::filesystem::path& path) {
  const FileReader file(path, Kind::signing_key);
  return file.decode([&](const auto& h) {
    if (file.sections() != 1 || file.section_bytes(0) != signing::SigningKey::kSeedBytes)
      file.fail("it holds no signing key");
    SecretArray<unsigned char> seed(signing::SigningKey::kSeedBytes);
    file.read(0, {seed.data(), seed.size()});
    signing::SigningKey key(seed);
    if (signing::to_text(key.verification_key()) != text(h, "verification_key", 64))
      file.fail("the key does not fit its verification key");
    return key;
  });
}

}  // namespace sotto::wire
