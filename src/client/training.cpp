#include "client/training.h"

#include <fmt/format.h>
#include <sodium.h>

#include <array>

#include "base/error.h"
#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "lowering/files.h"
#include "secret/crypt.h"
#include "training/optimiser.h"
#include "wire/fields.h"

namespace sotto::client {

namespace {

std::vector<double> slots_of(const Keys& keys, const ckks::Encoder& encoder, const ckks::Ciphertext& c) {
  const std::vector<std::complex<double>> slots = encoder.embed(secret::decrypt(keys.secret, c));
  std::vector<double> out;
  out.reserve(slots.size());
  for (const auto& s : slots) out.push_back(s.real() / c.scale);
  return out;
}

// Mean over the images of half the summed squares, which fill their tiles.
double loss_of(const lowering::TrainingPlan& plan, const std::vector<std::vector<double>>& groups) {
  const auto& a = plan.arrangement;
  const auto each = static_cast<std::size_t>(a.images_per_group());
  double sum = 0;
  for (int b = 0; b < a.batch; ++b)
    sum += groups[static_cast<std::size_t>(b) / each]
                 [static_cast<std::size_t>(b) % each * static_cast<std::size_t>(a.positions())];
  return sum / 2 / a.batch;
}

}  // namespace

std::string encrypt_examples(const lowering::TrainingPlan& plan, const Keys& keys,
                             const std::vector<training::Example>& examples, const Sink& sink,
                             const ProgressFn& progress) {
  const lowering::LoweredStep lowered = lowering::lower(plan);
  const auto batches = training::batches_of(plan.spec, examples.size());
  const std::size_t size = plan.step.value(plan.step.images).size();
  const int classes = plan.step.value(plan.step.labels).shape.channels;
  for (const training::Example& e : examples) {
    if (e.image.size() != size) throw Error(ErrorCode::bad_input, "an image has another size than the network takes");
    if (e.label < 0 || e.label >= classes)
      throw Error(ErrorCode::bad_input,
                  fmt::format("an image has the label {}; the network has the classes 0 to {}", e.label, classes - 1));
  }
  ckks::CiphertextFileInfo info = lowering::input_info(plan, lowered, batches.size());
  info.key_id = keys.secret.id();
  std::array<unsigned char, 16> name{};
  randombytes_buf(name.data(), name.size());
  info.input_id = wire::to_hex(name.data(), name.size());
  info.seed = ckks::random_seed();
  ckks::CiphertextWriter file(sink, wire::Kind::input, *keys.ring, info);
  const ckks::Encoder encoder(plan.parameters.log_n, plan.parameters.kind);
  const std::size_t total = batches.size() * info.sections_per_batch();
  std::uint64_t next = 0;
  const auto write = [&](const std::vector<double>& slots) {
    if (progress) progress(next, total);
    const ckks::CiphertextShape shape = info.shape(next);
    const ckks::Plaintext message =
        ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots)), shape.scale, shape.limbs);
    file.write(secret::encrypt_symmetric(keys.secret, message, *info.seed, next));
    ++next;
  };
  const auto& layout = plan.arrangement.layouts[static_cast<std::size_t>(plan.step.images)];
  for (const std::vector<std::size_t>& batch : batches) {
    std::vector<const training::Example*> list;
    for (std::size_t i : batch) list.push_back(&examples[i]);
    for (int g = 0; g < plan.arrangement.groups(); ++g)
      for (int c = 0; c < layout.channels; ++c)
        for (int phase = 0; phase < layout.phase_count(); ++phase)
          write(lowering::pack_images(plan.step, plan.arrangement, list, g, c, phase));
    for (int g = 0; g < plan.arrangement.groups(); ++g)
      for (int k = 0; k < classes; ++k) write(lowering::pack_labels(plan.arrangement, list, g, k));
  }
  file.commit();
  if (progress) progress(total, total);
  return info.input_id;
}

DecryptedTraining decrypt_training(const lowering::TrainingPlan& plan, const Keys& keys, const Source& source,
                                   const ProgressFn& progress) {
  const lowering::LoweredStep lowered = lowering::lower(plan);
  const ckks::CiphertextReader file(source, wire::Kind::output);
  const ckks::CiphertextFileInfo expected = lowering::output_info(plan, lowered, file.info().input_id);
  file.expect(plan.id, 1, 1, expected.limbs, expected.scale, *keys.ring, expected.probes);
  if (file.info().key_id != keys.secret.id())
    throw Error(ErrorCode::wrong_key, source.name() + " belongs to another secret key");
  const ckks::Encoder encoder(plan.parameters.log_n, plan.parameters.kind);
  DecryptedTraining out;
  out.input_id = file.info().input_id;
  const std::uint64_t steps = file.info().images;
  if (steps != static_cast<std::uint64_t>(plan.spec.steps))
    throw Error(ErrorCode::bad_input,
                fmt::format("{} holds {} steps, the plan has {}: whoever computed them left some out", source.name(),
                            steps, plan.spec.steps));
  const std::uint64_t each = file.info().sections_per_batch();
  for (std::uint64_t s = 0; s < steps; ++s) {
    if (progress) progress(s, steps);
    out.states.push_back(
        lowering::unpack_state(plan.step, plan.arrangement, slots_of(keys, encoder, file.read(*keys.ring, s * each))));
    std::vector<std::vector<double>> groups;
    for (std::uint64_t k = 1; k < each; ++k)
      groups.push_back(slots_of(keys, encoder, file.read(*keys.ring, s * each + k)));
    out.losses.push_back(loss_of(plan, groups));
    if (out.overflow < 0 && !training::in_range(out.states.back(), out.losses.back(), plan.spec.range))
      out.overflow = static_cast<int>(s);
  }
  if (progress) progress(steps, steps);
  return out;
}

}  // namespace sotto::client
