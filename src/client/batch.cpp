#include "client/batch.h"

#include <sodium.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
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

// Ciphertexts of scores.
std::size_t output_blocks(const plan::ClientSpec& spec) {
  const int group = spec.input.layout.group;
  return static_cast<std::size_t>((spec.io.outputs + group - 1) / group);
}

// A standard normal value from the system's generator (Box-Muller).
double gaussian() {
  const auto uniform = [] {
    std::uint64_t bits = 0;
    randombytes_buf(&bits, sizeof bits);
    return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
  };
  return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
}

}  // namespace

std::vector<double> pack_slots(const plan::ClientSpec& spec, std::span<const std::vector<double>> images, int phase,
                               int block) {
  const plan::Layout& l = spec.input.layout;
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
        for (std::size_t b = 0; b < images.size(); ++b) slots[b * period(spec) + slot] = images[b][pixel];
      }
    }
  }
  return slots;
}

std::string encrypt_images(const plan::ClientSpec& spec, const Keys& keys, std::span<const std::vector<double>> images,
                           const std::filesystem::path& path, const ProgressFn& progress) {
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
  ckks::CiphertextWriter file(path, wire::Kind::input, *keys.ring, info);
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

Decrypted decrypt_scores(const plan::ClientSpec& spec, const Keys& keys, const std::filesystem::path& path,
                         const DecryptOptions& options, const ProgressFn& progress) {
  const ckks::CiphertextReader file(path, wire::Kind::output);
  const auto outputs = static_cast<std::size_t>(spec.io.outputs), batch = static_cast<std::size_t>(spec.batch);
  const auto group = static_cast<std::size_t>(spec.input.layout.group), blocks = output_blocks(spec);
  file.expect(spec.plan_id, batch, blocks, spec.output_limbs, spec.output_scale, *keys.ring);
  if (file.info().key_id != keys.secret.id())
    throw Error(ErrorCode::wrong_key,
                path.string() + " was computed under another key; use the key that encrypted its input");
  const ckks::Encoder encoder(spec.parameters.log_n, spec.parameters.kind);
  std::vector<std::vector<double>> scores(file.info().images, std::vector<double>(outputs));
  const std::size_t total = file.info().batches() * blocks;
  for (std::size_t k = 0; k < total; ++k) {
    if (progress) progress(k, total);
    const ckks::Ciphertext c = file.read(*keys.ring, k);
    const auto slots = encoder.embed(secret::decrypt(keys.secret, c));
    const std::size_t first = k / blocks * batch, first_class = k % blocks * group;
    for (std::size_t b = 0; b < batch && first + b < scores.size(); ++b) {
      for (std::size_t s = 0; s < group && first_class + s < outputs; ++s) {
        double& score = scores[first + b][first_class + s];
        score = slots[b * period(spec) + s * positions(spec)].real() / c.scale;
        if (options.flood > 0) score += options.flood * gaussian();
      }
    }
  }
  if (progress) progress(total, total);
  return {std::move(scores), file.info().input_id};
}

}  // namespace sotto::client
