#include "engine/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "ckks/encoder.h"
#include "engine/body_run.h"
#include "engine/signatures.h"
#include "lowering/cost.h"
#include "lowering/files.h"
#include "plan/cost.h"
#include "plan/switch_work.h"
#include "training/optimiser.h"
#include "wire/outputs.h"

namespace sotto::engine {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string bytes(std::uint64_t n) { return format_bytes(static_cast<double>(n)); }

}  // namespace

std::uint64_t memory_for(const lowering::TrainingPlan& plan, const lowering::LoweredStep& lowered, std::uint64_t most,
                         std::uint64_t batches) {
  std::uint64_t needed = lowering::memory_of(plan, lowered, batches);
  const std::uint64_t there = most != 0 ? most : available_memory();
  // The plan says what its body takes on two threads; here there may be more.
  if (plan.body && plan.body->plan) needed = std::max(needed, plan::estimate(*plan.body->plan).peak_bytes);
  if (there != 0 && needed > there)
    throw Error(
        ErrorCode::no_resources,
        fmt::format("training with this plan needs about {}, there are {}; train fewer layers or smaller batches{}",
                    bytes(needed), bytes(there), plan.body && batches > 1 ? ", or give fewer images" : ""),
        Setting::memory);
  return needed;
}

Trainer::Trainer(lowering::TrainingPlan plan, ServerOptions options)
    : plan_(std::move(plan)),
      options_(std::move(options)),
      lowered_(lowering::lower(plan_)),
      parameters_(ckks::Parameters::create(plan_.parameters)),
      predicted_bytes_(memory_for(plan_, lowered_, options_.memory)) {
  require_signing_key(plan_.signer, options_.signer.get());
  ring_ = parameters_.make_ring(simd::select_kernels(), options_.memory);
}

std::unique_ptr<ckks::KeyFile> Trainer::open_keys(const Source& source) const {
  if (plan_.body)  // both are there, or it is said now
    (void)ckks::KeyFile(source, ring_, plan_.body->client.parameters, plan_.body->client.keys);
  return std::make_unique<ckks::KeyFile>(source, ring_, plan_.parameters, plan_.keys);
}

// The network's weights as they are, under no key: they are the server's. Or sums of nothing.
ckks::PackedCiphertext Trainer::first_state() const {
  const std::vector<double> period =
      plan_.spec.optimiser == training::Spec::Optimiser::normal_equations
          ? std::vector<double>(static_cast<std::size_t>(plan_.arrangement.period))
          : lowering::pack_state(plan_.step, plan_.arrangement, training::initial_state(plan_.step));
  std::vector<double> slots(ring_->n());
  for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = period[s % period.size()];
  const ckks::Encoder encoder(plan_.parameters.log_n, plan_.parameters.kind);
  ckks::Plaintext state = ckks::encode(*ring_, encoder.embed_inverse(std::span<const double>(slots)),
                                       lowered_.state_scale, lowering::state_limbs(lowered_));
  ckks::Ciphertext c;
  c.scale = state.scale;
  for (std::size_t l = 0; l < state.poly.size(); ++l) {
    std::fill_n(c.c1.emplace_back(ring_->limb()).data(), ring_->n(), 0);
  }
  c.c0 = std::move(state.poly);
  return ckks::pack(*ring_, std::move(c));
}

void Trainer::require_input(const ckks::CiphertextReader& input, const ckks::KeyFile& keys) const {
  const ckks::CiphertextFileInfo wanted = lowering::input_info(plan_, lowered_, 1);
  input.expect(plan_.id, wanted.batch, wanted.per_batch, wanted.level, wanted.scale, *ring_, wanted.probes);
  if (input.info().images % wanted.batch != 0) throw Error(ErrorCode::bad_input, "the input's last batch is not full");
  if (keys.key_id() != input.info().key_id)
    throw Error(ErrorCode::wrong_key, "the input was encrypted under another key than that of " + keys.name() +
                                          "; use the evaluation keys made with it");
  require_owner(input, options_.owners_only);
}

// What the step has for images: features of all batches, which stay in memory, or images read when they are needed.
class Trainer::Features {
 public:
  Features(const Trainer& trainer, const ckks::CiphertextReader& input, const TrainingHooks& hooks)
      : plan_(trainer.plan_),
        lowered_(trainer.lowered_),
        ring_(*trainer.ring_),
        input_(input),
        hooks_(hooks),
        memory_(trainer.options_.memory),
        groups_(static_cast<std::uint64_t>(plan_.arrangement.groups())),
        packed_(plan_.body ? plan_.arrangement.layouts[static_cast<std::size_t>(plan_.step.images)].ciphertexts() : 0) {
    if (!plan_.body) return;
    bootstraps_ = lowering::feature_bootstrap_seconds(plan_, lowered_, plan::kTypicalSpeed) /
                  lowering::feature_seconds(plan_, lowered_, plan::kTypicalSpeed);
  }

  // Runs the body on what no earlier run has finished.
  void make(ckks::KeyFile& keys, const ckks::Evaluator& evaluator, ckks::CiphertextWriter& writer) {
    if (!plan_.body) return;
    const std::uint64_t runs = input_.info().batches() * groups_, each = lowering::features_shape(plan_).size();
    const std::uint64_t earlier = std::min(writer.finished() / each, runs);
    for (std::uint64_t r = 0; r < earlier; ++r)
      for (std::uint64_t k = 0; k < packed_; ++k) made_.push_back(ckks::pack(ring_, writer.read_back(r * each + k)));
    if (earlier == runs) return;
    BodyRun body(plan_, keys, evaluator, memory_);
    for (std::uint64_t r = earlier; r < runs; ++r) {
      const auto progress = [&](double part) {
        const double done = (static_cast<double>(r - earlier) + part) / static_cast<double>(runs - earlier);
        if (hooks_.progress)
          hooks_.progress({true, static_cast<int>(r), static_cast<int>(runs), done * (1 - bootstraps_)});
      };
      std::vector<ckks::Ciphertext> found = body.run(images_of_run(r), progress, hooks_.stop);
      for (std::uint64_t k = 0; k < each; ++k) {
        writer.write(found[k]);
        if (k < packed_) made_.push_back(ckks::pack(ring_, std::move(found[k])));
      }
    }
  }

  // Gives the features the levels that a step needs.
  void bootstrap(const bootstrap::Bootstrapper& bootstrapper, const ckks::Evaluator& evaluator) {
    for (std::size_t first = 0; first < made_.size(); first += plan::kBootstrappedTogether) {
      if (hooks_.stop != nullptr && *hooks_.stop) throw Error(ErrorCode::interrupted, "interrupted");
      if (const int runs = static_cast<int>(input_.info().batches() * groups_); hooks_.progress)
        hooks_.progress({true, runs - 1, runs,
                         1 - bootstraps_ * (1 - static_cast<double>(first) / static_cast<double>(made_.size()))});
      const std::size_t count = std::min<std::size_t>(plan::kBootstrappedTogether, made_.size() - first);
      std::vector<ckks::Ciphertext> together;
      for (std::size_t k = first; k < first + count; ++k)
        together.push_back(ckks::unpack(ring_, made_[k], made_[k].limbs()));
      bootstrapper.run(evaluator, together, lowered_.program.value(lowered_.program.inputs[1]).scale);
      for (std::size_t k = 0; k < count; ++k)
        made_[first + k] =
            ckks::pack(ring_, evaluator.drop_to(together[k], image((first + k) % (groups_ * packed_)).limbs));
    }
  }

  // What a step on this batch has for images, and its labels.
  [[nodiscard]] std::vector<ckks::PackedCiphertext> of_batch(std::uint64_t batch) const {
    const std::uint64_t first = batch * input_.info().sections_per_batch(), images = input_.info().per_batch;
    std::vector<ckks::PackedCiphertext> in;
    for (std::uint64_t k = 0; plan_.body && k < groups_ * packed_; ++k) {
      const ckks::PackedCiphertext& made = made_[batch * groups_ * packed_ + k];
      in.push_back(ckks::pack(ring_, ckks::unpack(ring_, made, made.limbs())));
    }
    for (std::uint64_t k = plan_.body ? images : 0; k < input_.info().sections_per_batch(); ++k)
      in.push_back(ckks::pack(ring_, input_.read(ring_, first + k)));
    return in;
  }

 private:
  [[nodiscard]] const program::Value& image(std::uint64_t k) const {
    return lowered_.program.value(lowered_.program.inputs[1 + k]);
  }
  [[nodiscard]] std::vector<ckks::PackedCiphertext> images_of_run(std::uint64_t r) const {
    const std::uint64_t count = input_.info().per_batch / groups_;
    const std::uint64_t first = r / groups_ * input_.info().sections_per_batch() + r % groups_ * count;
    std::vector<ckks::PackedCiphertext> images;
    for (std::uint64_t k = 0; k < count; ++k) images.push_back(ckks::pack(ring_, input_.read(ring_, first + k)));
    return images;
  }

  const lowering::TrainingPlan& plan_;
  const lowering::LoweredStep& lowered_;
  const ring::Ring& ring_;
  const ckks::CiphertextReader& input_;
  const TrainingHooks& hooks_;
  std::uint64_t memory_;                      // most that may be used, 0: any
  std::uint64_t groups_, packed_;             // ciphertexts of features that a run of the body gives
  std::vector<ckks::PackedCiphertext> made_;  // by run of the body
  double bootstraps_ = 0;                     // their part of the work
};

TrainingReport Trainer::train(const Source& input, ckks::KeyFile& keys, const Sink& output,
                              const TrainingHooks& hooks) {
  TrainingReport report;
  report.steps = plan_.spec.steps;
  const double begin = now();
  const auto check_stop = [&] {
    if (hooks.stop != nullptr && *hooks.stop) throw Error(ErrorCode::interrupted, "interrupted; no output was written");
  };
  const ckks::CiphertextReader reader(input, wire::Kind::input);
  require_input(reader, keys);
  predicted_bytes_ = memory_for(plan_, lowered_, options_.memory, reader.info().batches());
  reader.verify(check_stop);
  keys.verify(check_stop);
  report.images = reader.info().images;
  report.batches = reader.info().batches();

  ckks::CiphertextFileInfo info =
      lowering::output_info(plan_, lowered_, reader.info().input_id, reader.info().batches());
  info.key_id = keys.key_id();
  info.input_digest = reader.digest();
  info.input_signer = reader.signer();
  ckks::CiphertextWriter writer(output, wire::Kind::output, *ring_, info, true, options_.signer.get());
  const std::uint64_t each = info.sections_per_batch(), lead = info.lead_sections();
  const auto finished = [&] {
    return writer.finished() < lead ? 0 : static_cast<int>((writer.finished() - lead) / each);
  };
  report.steps_of_an_earlier_run = finished();
  std::optional<bootstrap::Bootstrapper> bootstrapper;
  if (lowered_.program.bootstrapping) bootstrapper.emplace(*lowered_.program.bootstrapping, *ring_);
  const ckks::Evaluator evaluator(parameters_, ring_, plan_.keys.tiers, &keys);
  const runtime::ProgramRun run(lowered_.program, evaluator, bootstrapper ? &*bootstrapper : nullptr);
  // A bootstrap takes as long as hundreds of other instructions.
  const std::vector<double> passed = lowering::parts_passed(lowered_.program, plan_.keys.tiers, plan_.parameters.log_n);
  report.read_seconds = now() - begin;
  try {
    const double features_begin = now();
    Features features(*this, reader, hooks);
    features.make(keys, evaluator, writer);
    if (bootstrapper) features.bootstrap(*bootstrapper, evaluator);
    if (plan_.body) report.feature_seconds = now() - features_begin;
    ckks::PackedCiphertext state =
        finished() == 0
            ? first_state()
            : ckks::pack(*ring_, writer.read_back(lead + static_cast<std::uint64_t>(finished() - 1) * each));
    for (int step = finished(); step < plan_.spec.steps; ++step) {
      const double start = now();
      const auto batch =
          static_cast<std::uint64_t>(training::batch_of(plan_.spec, static_cast<int>(report.batches), step));
      std::vector<ckks::PackedCiphertext> in = features.of_batch(batch);
      in.insert(in.begin(), std::move(state));
      const double read = now();
      runtime::ProgramHooks program_hooks;
      program_hooks.stop = hooks.stop;
      program_hooks.progress = [&](std::size_t done, std::size_t) {
        if (!hooks.progress) return;
        hooks.progress({false, step, plan_.spec.steps,
                        (step - report.steps_of_an_earlier_run + passed[done]) /
                            (plan_.spec.steps - report.steps_of_an_earlier_run)});
      };
      std::vector<ckks::PackedCiphertext> out =
          run.run(std::move(in), lowering::coefficients_of(plan_, step), program_hooks, &report.kinds);
      const double computed = now();
      for (std::size_t k = 0; k < out.size(); ++k)
        writer.write(ckks::unpack(*ring_, out[k], k == 0 ? info.level : info.probes[k - 1].level));
      state = std::move(out.front());
      report.read_seconds += read - start;
      report.compute_seconds += computed - read;
      report.write_seconds += now() - computed;
      report.step_seconds.push_back(now() - start);
    }
  } catch (const Error& e) {
    if (e.code() != ErrorCode::interrupted || writer.finished() == 0 || output.path() == nullptr) throw;
    const std::string part =
        wire::output_target(*output.path()).string() + ".part, from which the same command goes on";
    if (writer.finished() < lead)
      throw Error(e.code(), fmt::format("interrupted; the features of {} of {} groups of images are kept in {}",
                                        writer.finished() / info.lead.size(), info.leads, part));
    throw Error(e.code(), fmt::format("interrupted; {} of {} steps are kept in {}", finished(), report.steps, part));
  }
  const double writing = now();
  writer.commit();
  report.write_seconds += now() - writing;
  return report;
}

}  // namespace sotto::engine
