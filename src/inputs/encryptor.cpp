#include "inputs/encryptor.h"

#include <utility>

namespace sotto::inputs {

Encryptor::Encryptor(plan::ClientSpec spec, const ckks::Parameters& parameters, const Source& public_key)
    : Encryptor(std::move(spec), parameters, encrypt::PublicKeyFile(public_key)) {}

Encryptor::Encryptor(plan::ClientSpec spec, const ckks::Parameters& parameters, const encrypt::PublicKeyFile& file)
    : spec_(std::move(spec)),
      key_id_(file.key_id()),
      ring_(parameters.make_ring(simd::select_kernels())),
      encryption_(parameters, ring_, file.read(*ring_, spec_.parameters, spec_.input.level.limbs)) {}

InputName Encryptor::encrypt(std::span<const std::vector<double>> images, const Sink& sink, const ProgressFn& progress,
                             const signing::SigningKey* signer) const {
  const auto write = [&](ckks::CiphertextWriter& file, const ckks::Plaintext& message, std::uint64_t) {
    file.write(encryption_.encrypt(message));
  };
  return write_input(spec_, *ring_, {key_id_, std::nullopt, write, signer}, images, sink, progress);
}

}  // namespace sotto::inputs
