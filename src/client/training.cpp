#include "client/training.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/hex.h"
#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "client/probes.h"
#include "inputs/slots.h"
#include "inputs/write_input.h"
#include "lowering/files.h"
#include "lowering/moments.h"
#include "lowering/moments_twin.h"
#include "secret/crypt.h"
#include "training/loss.h"
#include "training/optimiser.h"

namespace sotto::client {

namespace {

// What a ciphertext holds; no numbers if a value outgrew the modulus, or under another key.
std::vector<double> slots_of(const Keys& keys, const ckks::Encoder& encoder, const ckks::Ciphertext& c) {
  const auto coefficients = secret::try_decrypt(keys.secret, c);
  if (!coefficients) return std::vector<double>(keys.ring->n(), std::numeric_limits<double>::quiet_NaN());
  const std::vector<std::complex<double>> slots = encoder.embed(*coefficients);
  std::vector<double> out;
  out.reserve(slots.size());
  for (const auto& s : slots) out.push_back(s.real() / c.scale);
  return out;
}

// Losses of images: half the summed squares, which fill their tiles.
struct Losses {
  double mean = 0;
  double worst = 0;  // infinite if any is no number
};

Losses losses_of(const lowering::TrainingPlan& plan, const std::vector<std::vector<double>>& groups) {
  const auto& a = plan.arrangement;
  const auto each = static_cast<std::size_t>(a.images_per_group());
  Losses found;
  for (int b = 0; b < a.batch; ++b) {
    const double loss = groups[static_cast<std::size_t>(b) / each]
                              [static_cast<std::size_t>(b) % each * static_cast<std::size_t>(a.positions())] /
                        2;
    found.mean += loss / a.batch;
    // What folds is as likely to come out negative.
    found.worst = std::isnan(loss) ? INFINITY : std::max(found.worst, std::abs(loss));
  }
  return found;
}

using WriteSlots = std::function<void(const std::vector<double>&)>;
using Batch = std::vector<const training::Example*>;

void pack_for_step(const lowering::TrainingPlan& plan, const Batch& batch, int group, const WriteSlots& write) {
  const auto& layout = plan.arrangement.layouts[static_cast<std::size_t>(plan.step.images)];
  for (int c = 0; c < layout.channels; ++c)
    for (int phase = 0; phase < layout.phase_count(); ++phase)
      write(lowering::pack_images(plan.step, plan.arrangement, batch, group, c, phase));
}

// Images of a group of a batch.
std::pair<std::size_t, std::size_t> images_of(const lowering::TrainingPlan& plan, int group) {
  const auto each = static_cast<std::size_t>(plan.arrangement.images_per_group());
  const std::size_t first = static_cast<std::size_t>(group) * each;
  return {first, std::min(first + each, static_cast<std::size_t>(plan.spec.batch))};
}

void pack_for_body(const lowering::TrainingPlan& plan, const Batch& batch, int group, const WriteSlots& write) {
  const plan::ClientSpec& body = plan.body->client;
  const auto [first, end] = images_of(plan, group);
  std::vector<std::vector<double>> images;
  for (std::size_t i = first; i < end; ++i) images.push_back(batch[i]->image);
  for (int phase = 0; phase < body.input.layout.phase_count(); ++phase)
    for (int block = 0; block < body.input.layout.blocks(); ++block)
      write(inputs::pack_slots(body, images, phase, block));
}

// From what the body left of all images it is seen whose values left their range: nothing of it may be missing.
void require_features(const lowering::TrainingPlan& plan, const ckks::CiphertextReader& file, const Origin& origin) {
  if (!plan.body) return;
  const auto groups = static_cast<std::uint64_t>(plan.arrangement.groups());
  const std::uint64_t batches = file.info().leads / groups;
  if (batches == 0 || file.info().leads % groups != 0)
    throw Error(ErrorCode::bad_input, file.name() + " lacks features of a part of a batch");
  if (!origin.images) return;
  if (const auto all = *origin.images / static_cast<std::uint64_t>(plan.spec.batch); batches != all)
    throw Error(ErrorCode::bad_input,
                fmt::format("{} holds the features of {} of {} batches: whoever computed them left some out",
                            file.name(), batches, all));
}

// What a run of the body says of its images, number r of the file.
void judge_body_run(const lowering::TrainingPlan& plan, const Keys& keys, const ckks::Encoder& encoder,
                    const ckks::CiphertextReader& file, std::uint64_t r, DecryptedTraining& out) {
  const plan::ClientSpec& body = plan.body->client;
  const std::size_t each = file.info().lead.size(), probes = body.watch.probes.size(), packed = each - probes;
  const auto [first, end] =
      images_of(plan, static_cast<int>(r % static_cast<std::uint64_t>(plan.arrangement.groups())));
  std::vector<double> times(end - first);  // how far beyond its bounds an image lies
  bool lost = false;
  for (std::size_t k = 0; k < each; ++k) {
    const ckks::Ciphertext c = file.read(*keys.ring, r * each + k);
    const auto coefficients = secret::try_decrypt(keys.secret, c);
    lost = lost || !coefficients;
    if (!coefficients) continue;
    const auto slots = encoder.embed(*coefficients);
    if (k >= packed) {
      add_probe(plan::AnswerSlots(body), body.watch.probes[k - packed], slots, c.scale, times);
      continue;
    }
    const auto positions = static_cast<std::size_t>(plan.arrangement.positions());
    for (std::size_t i = 0; i < times.size() * positions; ++i)
      times[i / positions] = std::max(times[i / positions], std::abs(slots[i].real()) / (c.scale * plan.body->range));
  }
  const bool spoiled = lost || std::ranges::any_of(times, [](double t) { return t > kSpoils; });
  std::vector<bool> disturbed(times.size(), spoiled);
  for (std::size_t i = 0; i < times.size() && !spoiled; ++i) {
    if (times[i] <= 1) continue;
    const std::size_t reach = reach_of(body, times[i]);
    for (std::size_t k = 0; k < times.size(); ++k) disturbed[k] = disturbed[k] || apart(body, i, k) <= reach;
  }
  out.out_of_range += static_cast<std::size_t>(std::ranges::count(disturbed, true));
  out.spoiled = out.spoiled || spoiled;
}

// Weights from sums over images: after every step, of all that are in by then. The sums of fewer images than features
// may have no solution where those of more have one, so the last ones count.
class FromMoments {
 public:
  explicit FromMoments(const lowering::TrainingPlan& plan)
      : plan_(plan), state_(training::initial_state(plan.step)), sums_(training::no_moments(plan.step)) {}

  // Adds what the state behind the next step says.
  void add(std::span<const double> slots, DecryptedTraining& out) {
    training::Moments sums = lowering::unpack_moments(plan_.step, plan_.arrangement, slots);
    const double loss = training::loss_of(training::added(sums, sums_, -1), state_.weights);
    const auto weights = training::solve(sums, plan_.spec.ridge);
    if (weights) state_.weights = *weights;
    const double part = static_cast<double>(out.states.size() + 1) / plan_.spec.steps,
                 images = static_cast<double>(plan_.spec.batch) * plan_.spec.steps;
    deviation_ = lowering::error_of_moments(plan_.step, plan_.arrangement, slots, part, images);
    if (out.overflow < 0 && !std::isfinite(loss)) out.overflow = static_cast<int>(out.states.size());
    out.losses.push_back(loss);
    out.states.push_back(state_);
    sums_ = std::move(sums);
  }

  // Whether the last sums tell the weights.
  [[nodiscard]] bool known() const {
    return training::weight_error(sums_, plan_.spec.ridge, deviation_) <= lowering::kMostWeightError;
  }

 private:
  const lowering::TrainingPlan& plan_;
  training::State state_;
  double deviation_ = 0;    // of the last sums
  training::Moments sums_;  // before the next step
};

}  // namespace

inputs::InputName encrypt_examples(const lowering::TrainingPlan& plan, const Keys& keys,
                                   const std::vector<training::Example>& examples, const Sink& sink,
                                   const ProgressFn& progress) {
  const lowering::LoweredStep lowered = lowering::lower(plan);
  const auto batches = training::batches_of(plan.spec, examples.size());
  const std::size_t size = static_cast<std::size_t>(plan.io.channels) * static_cast<std::size_t>(plan.io.height) *
                           static_cast<std::size_t>(plan.io.width);
  const int classes = plan.step.value(plan.step.labels).shape.channels;
  for (const training::Example& e : examples) {
    if (e.image.size() != size) throw Error(ErrorCode::bad_input, "an image has another size than the network takes");
    if (e.label < 0 || e.label >= classes)
      throw Error(ErrorCode::bad_input,
                  fmt::format("an image has the label {}; the network has the classes 0 to {}", e.label, classes - 1));
  }
  for (std::size_t i = 0; plan.body && i < examples.size(); ++i)
    inputs::require_room(plan.body->client, examples[i].image, i);
  ckks::CiphertextFileInfo info = lowering::input_info(plan, lowered, batches.size());
  info.key_id = keys.secret.id();
  std::array<unsigned char, 16> name{};
  randombytes_buf(name.data(), name.size());
  info.input_id = to_hex(name);
  info.seed = ckks::random_seed();
  ckks::CiphertextWriter file(sink, wire::Kind::input, *keys.ring, info, false, &keys.signing);
  const ckks::Encoder encoder(plan.parameters.log_n, plan.parameters.kind);
  const std::size_t total = batches.size() * info.sections_per_batch();
  std::uint64_t next = 0;
  const auto write = [&](const std::vector<double>& slots) {
    if (progress) progress(next, total);
    const ckks::CiphertextShape shape = info.shape(next);
    const ckks::Plaintext message =
        ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots)), shape.scale, shape.level);
    file.write(secret::encrypt_symmetric(keys.secret, message, *info.seed, next));
    ++next;
  };
  for (const std::vector<std::size_t>& batch : batches) {
    std::vector<const training::Example*> list;
    list.reserve(batch.size());
    for (std::size_t i : batch) list.push_back(&examples[i]);
    for (int g = 0; g < plan.arrangement.groups(); ++g)
      plan.body ? pack_for_body(plan, list, g, write) : pack_for_step(plan, list, g, write);
    for (int g = 0; g < plan.arrangement.groups(); ++g)
      for (int k = 0; k < classes; ++k)
        write(lowering::pack_labels(plan.arrangement, list, g, k, training::absent_label(plan.spec.loss, classes)));
  }
  file.commit();
  if (progress) progress(total, total);
  return {info.input_id, file.digest()};
}

DecryptedTraining decrypt_training(const lowering::TrainingPlan& plan, const Keys& keys, const Source& source,
                                   const ProgressFn& progress, const Origin& expected_origin) {
  const lowering::LoweredStep lowered = lowering::lower(plan);
  const ckks::CiphertextReader file(source, wire::Kind::output);
  const ckks::CiphertextFileInfo expected = lowering::output_info(plan, lowered, file.info().input_id, 1);
  file.expect(plan.id, 1, 1, expected.level, expected.scale, *keys.ring, expected.probes, expected.lead);
  if (file.info().key_id != keys.secret.id())
    throw Error(ErrorCode::wrong_key, source.name() + " belongs to another secret key");
  require_origin(file, plan.signer, expected_origin);
  const ckks::Encoder encoder(plan.parameters.log_n, plan.parameters.kind);
  DecryptedTraining out;
  out.file = result_file_of(file);
  const std::uint64_t steps = file.info().images;
  if (steps != static_cast<std::uint64_t>(plan.spec.steps))
    throw Error(ErrorCode::bad_input,
                fmt::format("{} holds {} steps, the plan has {}: whoever computed them left some out", source.name(),
                            steps, plan.spec.steps));
  require_features(plan, file, expected_origin);
  for (std::uint64_t r = 0; plan.body && r < file.info().leads; ++r) judge_body_run(plan, keys, encoder, file, r, out);
  const std::uint64_t each = file.info().sections_per_batch(), first = file.info().lead_sections();
  std::optional<FromMoments> from_moments;
  if (plan.spec.optimiser == training::Spec::Optimiser::normal_equations) from_moments.emplace(plan);
  for (std::uint64_t s = 0; s < steps; ++s) {
    if (progress) progress(s, steps);
    const std::vector<double> state = slots_of(keys, encoder, file.read(*keys.ring, first + s * each));
    if (from_moments) {
      from_moments->add(state, out);
      continue;
    }
    out.states.push_back(lowering::unpack_state(plan.step, plan.arrangement, state));
    std::vector<std::vector<double>> groups;
    for (std::uint64_t k = 1; k < each; ++k)
      groups.push_back(slots_of(keys, encoder, file.read(*keys.ring, first + s * each + k)));
    const Losses losses = losses_of(plan, groups);
    out.losses.push_back(losses.mean);
    if (out.overflow < 0 && !training::in_range(out.states.back(), losses.worst, plan.spec))
      out.overflow = static_cast<int>(s);
  }
  if (from_moments && out.overflow < 0 && !from_moments->known()) out.overflow = static_cast<int>(steps) - 1;
  // The first loss is that of the model's own weights: whatever comes behind, it decrypts under the right key. Sums may
  // be too large to.
  if (!from_moments && std::isnan(out.losses.front()) && !out.spoiled)
    throw Error(ErrorCode::wrong_key, source.name() + " does not decrypt under this key");
  if (progress) progress(steps, steps);
  return out;
}

}  // namespace sotto::client
