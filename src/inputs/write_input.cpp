#include "inputs/write_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/hex.h"
#include "ckks/encoder.h"
#include "inputs/slots.h"

namespace sotto::inputs {

namespace {

constexpr int kMostEncodedBits = 61;  // of a message's coefficients

}  // namespace

void require_room(const plan::ClientSpec& spec, std::span<const double> image, std::size_t index) {
  if (spec.watch.probes.empty()) return;
  const plan::ProbeView& sum = spec.watch.probes.front();
  const double most = std::ldexp(1.0, std::min(sum.limbs * spec.parameters.prime_bits - 1, kMostEncodedBits)) /
                      (std::max(sum.scale, spec.input.scale) * spec.input.layout.ciphertexts());
  for (double v : image)
    if (!(std::abs(v) < most))
      throw Error(
          ErrorCode::bad_input,
          fmt::format("image {} holds {:.3g}, which is beyond anything that this network can take; leave it out", index,
                      v));
}

InputName write_input(const plan::ClientSpec& spec, const ring::Ring& ring, const Encryption& encryption,
                      std::span<const std::vector<double>> images, const Sink& sink, const ProgressFn& progress) {
  for (std::size_t k = 0; k < images.size(); ++k) require_room(spec, images[k], k);
  const plan::Layout& l = spec.input.layout;
  const auto batch = static_cast<std::size_t>(spec.batch), per_batch = static_cast<std::size_t>(l.ciphertexts());
  const ckks::Seed name = encryption.seed ? *encryption.seed : ckks::random_seed();
  const ckks::CiphertextFileInfo info{spec.plan_id,
                                      encryption.key_id,
                                      to_hex(std::span(name).first(16)),
                                      images.size(),
                                      batch,
                                      per_batch,
                                      spec.input.level,
                                      spec.input.scale,
                                      encryption.seed};
  ckks::CiphertextWriter file(sink, wire::Kind::input, ring, info, false, encryption.signer);
  const ckks::Encoder encoder(spec.parameters.log_n, spec.parameters.kind);
  const std::size_t total = info.batches() * per_batch;
  for (std::size_t k = 0; k < total; ++k) {
    if (progress) progress(k, total);
    const std::size_t first = k / per_batch * batch;
    const auto part = images.subspan(first, std::min(batch, images.size() - first));
    const int within = static_cast<int>(k % per_batch);
    const auto slots = pack_slots(spec, part, within / l.blocks(), within % l.blocks());
    const auto message =
        ckks::encode(ring, encoder.embed_inverse(std::span<const double>(slots)), spec.input.scale, spec.input.level);
    encryption.write(file, message, k);
  }
  file.commit();
  if (progress) progress(total, total);
  return {info.input_id, file.digest()};
}

}  // namespace sotto::inputs
