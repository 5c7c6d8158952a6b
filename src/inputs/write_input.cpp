#include "inputs/write_input.h"

#include <algorithm>

#include "ckks/encoder.h"
#include "inputs/slots.h"
#include "wire/fields.h"

namespace sotto::inputs {

std::string write_input(const plan::ClientSpec& spec, const ring::Ring& ring, const Encryption& encryption,
                        std::span<const std::vector<double>> images, const Sink& sink, const ProgressFn& progress) {
  const plan::Layout& l = spec.input.layout;
  const auto batch = static_cast<std::size_t>(spec.batch), per_batch = static_cast<std::size_t>(l.ciphertexts());
  const ckks::Seed name = encryption.seed ? *encryption.seed : ckks::random_seed();
  const ckks::CiphertextFileInfo info{spec.plan_id,
                                      encryption.key_id,
                                      wire::to_hex(name.data(), 16),
                                      images.size(),
                                      batch,
                                      per_batch,
                                      spec.input.limbs,
                                      spec.input.scale,
                                      encryption.seed};
  ckks::CiphertextWriter file(sink, wire::Kind::input, ring, info);
  const ckks::Encoder encoder(spec.parameters.log_n, spec.parameters.kind);
  const std::size_t total = info.batches() * per_batch;
  for (std::size_t k = 0; k < total; ++k) {
    if (progress) progress(k, total);
    const std::size_t first = k / per_batch * batch;
    const auto part = images.subspan(first, std::min(batch, images.size() - first));
    const int within = static_cast<int>(k % per_batch);
    const auto slots = pack_slots(spec, part, within / l.blocks(), within % l.blocks());
    const auto message =
        ckks::encode(ring, encoder.embed_inverse(std::span<const double>(slots)), spec.input.scale, spec.input.limbs);
    encryption.write(file, message, k);
  }
  file.commit();
  if (progress) progress(total, total);
  return info.input_id;
}

}  // namespace sotto::inputs
