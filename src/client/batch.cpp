#include "client/batch.h"

#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "plan/schedule.h"
#include "secret/crypt.h"
#include "wire/fields.h"

namespace sotto::client {

namespace {

std::size_t positions(const plan::ClientSpec& spec) {
  return static_cast<std::size_t>(spec.tile) * static_cast<std::size_t>(spec.tile);
}

// Slots of one image.
std::size_t period(const plan::ClientSpec& spec) {
  return positions(spec) * static_cast<std::size_t>(spec.input.layout.group);
}

}  // namespace

std::vector<double> pack_slots(const plan::ClientSpec& spec, std::span<const std::vector<double>> images, int phase,
                               int block) {
  const plan::Layout& l = spec.input.layout;
  const auto batch = static_cast<std::size_t>(spec.batch);
  std::vector<double> slots(std::size_t{1} << spec.parameters.log_n);
  for (int y = 0; y < l.height; ++y) {
    for (int x = 0; x < l.width; ++x) {
      const plan::Place place = plan::place_of(l, spec.tile, y, x);
      if (place.phase != phase) continue;
      for (int s = 0; s < l.group; ++s) {
        const int channel = l.channel_at(block, s);
        if (channel < 0) continue;
        const std::size_t pixel = (static_cast<std::size_t>(channel) * l.height + y) * l.width + x;
        const std::size_t slot = static_cast<std::size_t>(s) * positions(spec) + place.position;
        for (std::size_t b = 0; b < batch; ++b) slots[b * period(spec) + slot] = images[b % images.size()][pixel];
      }
    }
  }
  return slots;
}

std::string encrypt_images(const plan::ClientSpec& spec, const Keys& keys, std::span<const std::vector<double>> images,
                           const Sink& sink, const ProgressFn& progress) {
  const plan::Layout& l = spec.input.layout;
  const auto batch = static_cast<std::size_t>(spec.batch), per_batch = static_cast<std::size_t>(l.ciphertexts());
  const ckks::Seed seed = ckks::random_seed();
  const ckks::CiphertextFileInfo info{spec.plan_id,
                                      keys.secret.id(),
                                      wire::to_hex(seed.data(), 16),
                                      images.size(),
                                      batch,
                                      per_batch,
                                      spec.input.limbs,
                                      spec.input.scale,
                                      seed};
  ckks::CiphertextWriter file(sink, wire::Kind::input, *keys.ring, info);
  const ckks::Encoder encoder(spec.parameters.log_n, spec.parameters.kind);
  const std::size_t total = info.batches() * per_batch;
  for (std::size_t k = 0; k < total; ++k) {
    if (progress) progress(k, total);
    const std::size_t first = k / per_batch * batch;
    const auto part = images.subspan(first, std::min(batch, images.size() - first));
    const int within = static_cast<int>(k % per_batch);
    const auto slots = pack_slots(spec, part, within / l.blocks(), within % l.blocks());
    const auto message = ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots)),
                                      spec.input.scale, spec.input.limbs);
    file.write(secret::encrypt_symmetric(keys.secret, message, info.seed, k));
  }
  file.commit();
  if (progress) progress(total, total);
  return info.input_id;
}

}  // namespace sotto::client
