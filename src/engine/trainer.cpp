#include "engine/trainer.h"

#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "ckks/encoder.h"
#include "lowering/files.h"
#include "training/optimiser.h"
#include "wire/outputs.h"

namespace sotto::engine {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string bytes(std::uint64_t n) { return format_bytes(static_cast<double>(n)); }

}  // namespace

std::uint64_t memory_for(const lowering::TrainingPlan& plan, const lowering::LoweredStep& lowered, std::uint64_t most) {
  const std::uint64_t needed = lowering::memory_of(plan, lowered), there = most != 0 ? most : available_memory();
  if (there != 0 && needed > there)
    throw Error(
        ErrorCode::no_resources,
        fmt::format("training with this plan needs about {}, there are {}; train fewer layers or smaller batches",
                    bytes(needed), bytes(there)),
        Setting::memory);
  return needed;
}

Trainer::Trainer(lowering::TrainingPlan plan, ServerOptions options)
    : plan_(std::move(plan)),
      options_(std::move(options)),
      lowered_(lowering::lower(plan_)),
      parameters_(ckks::Parameters::create(plan_.parameters)),
      predicted_bytes_(memory_for(plan_, lowered_, options_.memory)) {
  ring_ = parameters_.make_ring(simd::select_kernels(), options_.memory);
}

std::unique_ptr<ckks::KeyFile> Trainer::open_keys(const Source& source) const {
  return std::make_unique<ckks::KeyFile>(source, ring_, plan_.parameters, plan_.keys);
}

// The network's weights as they are, under no key: they are the server's.
ckks::PackedCiphertext Trainer::first_state() const {
  const std::vector<double> period =
      lowering::pack_state(plan_.step, plan_.arrangement, training::initial_state(plan_.step));
  std::vector<double> slots(ring_->n());
  for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = period[s % period.size()];
  const ckks::Encoder encoder(plan_.parameters.log_n, plan_.parameters.kind);
  ckks::Plaintext state = ckks::encode(*ring_, encoder.embed_inverse(std::span<const double>(slots)),
                                       lowered_.state_scale, plan_.levels.bootstrapping.input_limbs());
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
  input.expect(plan_.id, wanted.batch, wanted.per_batch, wanted.limbs, wanted.scale, *ring_, wanted.probes);
  if (input.info().images % wanted.batch != 0) throw Error(ErrorCode::bad_input, "the input's last batch is not full");
  if (keys.key_id() != input.info().key_id)
    throw Error(ErrorCode::wrong_key, "the input was encrypted under another key than " + keys.name() +
                                          " belongs to; use the evaluation keys made with it");
}

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
  reader.verify(check_stop);
  keys.verify(check_stop);
  report.images = reader.info().images;
  report.batches = reader.info().batches();

  ckks::CiphertextFileInfo info = lowering::output_info(plan_, lowered_, reader.info().input_id);
  info.key_id = keys.key_id();
  ckks::CiphertextWriter writer(output, wire::Kind::output, *ring_, info, true);
  const std::uint64_t each = info.sections_per_batch();
  const auto finished = [&] { return static_cast<int>(writer.finished() / each); };
  report.steps_of_an_earlier_run = finished();
  const bootstrap::Bootstrapper bootstrapper(plan_.levels.bootstrapping, *ring_);
  const ckks::Evaluator evaluator(parameters_, ring_, plan_.keys.tiers, &keys);
  const runtime::ProgramRun run(lowered_.program, evaluator, &bootstrapper);
  ckks::PackedCiphertext state =
      finished() == 0 ? first_state()
                      : ckks::pack(*ring_, writer.read_back(static_cast<std::uint64_t>(finished() - 1) * each));
  report.read_seconds = now() - begin;
  try {
    for (int step = finished(); step < plan_.spec.steps; ++step) {
      const double start = now();
      const auto batch =
          static_cast<std::uint64_t>(training::batch_of(plan_.spec, static_cast<int>(report.batches), step));
      const std::uint64_t inputs = reader.info().sections_per_batch();
      std::vector<ckks::PackedCiphertext> in;
      in.push_back(std::move(state));
      for (std::uint64_t k = 0; k < inputs; ++k)
        in.push_back(ckks::pack(*ring_, reader.read(*ring_, batch * inputs + k)));
      const double read = now();
      runtime::ProgramHooks program_hooks;
      program_hooks.stop = hooks.stop;
      program_hooks.progress = [&](std::size_t done, std::size_t all) {
        if (!hooks.progress) return;
        const double part = static_cast<double>(done) / static_cast<double>(all);
        hooks.progress(
            {step, plan_.spec.steps,
             (step - report.steps_of_an_earlier_run + part) / (plan_.spec.steps - report.steps_of_an_earlier_run)});
      };
      std::vector<ckks::PackedCiphertext> out =
          run.run(std::move(in), lowering::coefficients_of(plan_, step), program_hooks, &report.kinds);
      const double computed = now();
      for (std::size_t k = 0; k < out.size(); ++k)
        writer.write(ckks::unpack(*ring_, out[k], k == 0 ? info.limbs : info.probes[k - 1].limbs));
      state = std::move(out.front());
      report.read_seconds += read - start;
      report.compute_seconds += computed - read;
      report.write_seconds += now() - computed;
      report.step_seconds.push_back(now() - start);
    }
  } catch (const Error& e) {
    if (e.code() != ErrorCode::interrupted || finished() == 0 || output.path() == nullptr) throw;
    throw Error(e.code(),
                fmt::format("interrupted; {} of {} steps are kept in {}.part, from which the same command goes "
                            "on",
                            finished(), report.steps, wire::output_target(*output.path()).string()));
  }
  const double writing = now();
  writer.commit();
  report.write_seconds += now() - writing;
  return report;
}

}  // namespace sotto::engine
