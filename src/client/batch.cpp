#include "client/batch.h"

#include "secret/crypt.h"

namespace sotto::client {

inputs::InputName encrypt_images(const plan::ClientSpec& spec, const Keys& keys,
                                 std::span<const std::vector<double>> images, const Sink& sink,
                                 const ProgressFn& progress) {
  const ckks::Seed seed = ckks::random_seed();
  const auto write = [&](ckks::CiphertextWriter& file, const ckks::Plaintext& message, std::uint64_t k) {
    file.write(secret::encrypt_symmetric(keys.secret, message, seed, k));
  };
  return inputs::write_input(spec, *keys.ring, {keys.secret.id(), seed, write, &keys.signing}, images, sink, progress);
}

}  // namespace sotto::client
