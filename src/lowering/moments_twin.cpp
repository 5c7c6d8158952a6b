#include "lowering/moments_twin.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/encoder.h"
#include "ckks/parameters.h"
#include "lowering/compile.h"
#include "lowering/moments.h"
#include "program/program.h"
#include "training/loss.h"
#include "training/optimiser.h"

namespace sotto::lowering {

namespace {

using program::Instruction;
using Kind = Instruction::Kind;
using Slots = std::vector<double>;
using Batch = std::vector<const training::Example*>;

constexpr double kMostTried = 4, kMostWork = 8e9;  // batches, and sums of products in them

// A program on slots in the clear, whose masks have the errors of rounded plaintexts.
class ClearRun {
 public:
  // The program must outlive it.
  ClearRun(const program::Program& program, const ckks::ParametersSpec& parameters)
      : program_(program),
        primes_(ckks::primes_of(parameters)),
        slots_(std::size_t{1} << parameters.log_n),
        kind_(parameters.kind),
        after_(program::needs_after(program)) {}

  Slots run(std::vector<Slots> inputs) {
    values_.assign(program_.values.size(), {});
    for (std::size_t k = 0; k < inputs.size(); ++k) at(program_.inputs[k]) = std::move(inputs[k]);
    for (std::size_t k = 0; k < program_.instructions.size(); ++k) {
      execute(program_.instructions[k]);
      for (const auto& [v, limbs] : after_[k])
        if (limbs == 0) Slots().swap(at(v));
    }
    return std::move(at(program_.outputs.front()));
  }

 private:
  Slots& at(int v) { return values_[static_cast<std::size_t>(v)]; }

  // to += from, rotated.
  void add_rotated(Slots& to, const Slots& from, std::int64_t rotation) const {
    const auto n = static_cast<std::int64_t>(slots_);
    const auto first = static_cast<std::size_t>((rotation % n + n) % n), rest = slots_ - first;
    for (std::size_t s = 0; s < rest; ++s) to[s] += from[s + first];
    for (std::size_t s = rest; s < slots_; ++s) to[s] += from[s - rest];
  }

  // A pattern as the plaintext of this scale has it, whose coefficients are integers.
  const Slots& rounded(int pattern, double scale) {
    Slots& out = rounded_[{pattern, scale}];
    if (!out.empty()) return out;
    out = program_.patterns[static_cast<std::size_t>(pattern)];
    if (out.size() == 1) return out;
    const ckks::Encoder encoder(std::countr_zero(out.size()), kind_);
    std::vector<double> coefficients = encoder.embed_inverse(std::span<const double>(out));
    for (double& c : coefficients) c = std::nearbyint(c * scale) / scale;
    const auto slots = encoder.embed(coefficients);
    for (std::size_t s = 0; s < out.size(); ++s) out[s] = slots[s].real();
    return out;
  }

  void multiply(const Instruction& i, Slots& out) {
    for (std::size_t k = 0; k < i.sources.size(); k += 2) {
      const Slots &a = at(i.sources[k]), &b = at(i.sources[k + 1]);
      for (std::size_t s = 0; s < slots_; ++s) out[s] += a[s] * b[s];
    }
    for (std::size_t k = 0; k < i.addends.size(); ++k) {
      const Slots& a = at(i.addends[k]);
      for (std::size_t s = 0; s < slots_; ++s) out[s] += i.numbers[k] * a[s];
    }
  }

  // Block by block, so that sources stay in the cache for all outputs.
  void mix(const Instruction& i) {
    constexpr std::size_t kBlock = 1024;
    const std::size_t sources = i.sources.size(), block = std::min(kBlock, slots_);
    const double scale = program::scale_before(program_, i, primes_);
    std::vector<const Slots*> masks;
    for (std::size_t f = 0; f < i.factors.size(); ++f)
      masks.push_back(i.factors[f].pattern < 0
                          ? nullptr
                          : &rounded(i.factors[f].pattern, scale / program_.value(i.sources[f % sources]).scale));
    for (int v : i.outputs) at(v).assign(slots_, 0);
    parallel_for(slots_ / block, [&](std::size_t b) {
      for (std::size_t f = 0; f < masks.size(); ++f) {
        if (masks[f] == nullptr) continue;
        Slots& out = at(i.outputs[f / sources]);
        const Slots &mask = *masks[f], &source = at(i.sources[f % sources]);
        for (std::size_t s = b * block; s < (b + 1) * block; ++s) out[s] += mask[s & (mask.size() - 1)] * source[s];
      }
    });
  }

  void execute(const Instruction& i) {
    if (i.kind == Kind::mix) return mix(i);
    for (std::size_t k = 0; k < i.outputs.size(); ++k) {
      Slots out(slots_);
      switch (i.kind) {
        case Kind::rotate:
          add_rotated(out, at(i.sources.front()), i.rotations[k]);
          break;
        case Kind::rotate_sum:
          out = at(i.sources.front());
          for (std::int64_t r : i.rotations) add_rotated(out, at(i.sources.front()), r);
          break;
        case Kind::join:
          for (std::size_t j = 0; j < i.sources.size(); ++j) add_rotated(out, at(i.sources[j]), i.rotations[j]);
          break;
        case Kind::multiply:
          multiply(i, out);
          break;
        case Kind::shift: {
          const double factor = program_.value(i.sources.front()).scale / program_.value(i.outputs.front()).scale;
          const Slots& source = at(i.sources.front());
          for (std::size_t s = 0; s < slots_; ++s) out[s] = source[s] * factor + i.numbers.front();
          break;
        }
        default:
          internal_error("an instruction that sums need not");
      }
      at(i.outputs[k]) = std::move(out);
    }
  }

  const program::Program& program_;
  std::vector<std::uint64_t> primes_;
  std::size_t slots_;
  ring::RingKind kind_;
  std::vector<std::map<int, int>> after_;
  std::map<std::pair<int, double>, Slots> rounded_;
  std::vector<Slots> values_;
};

// A state of nothing, images and labels, as the program takes them.
std::vector<Slots> inputs_of(const TrainingPlan& plan, const Batch& batch) {
  const Arrangement& a = plan.arrangement;
  const auto& layout = a.layouts[static_cast<std::size_t>(plan.step.images)];
  const int classes = plan.step.value(plan.step.labels).shape.channels;
  std::vector<Slots> in{Slots(static_cast<std::size_t>(a.slots()))};
  for (int g = 0; g < a.groups(); ++g)
    for (int c = 0; c < layout.channels; ++c)
      for (int phase = 0; phase < layout.phase_count(); ++phase)
        in.push_back(pack_images(plan.step, a, batch, g, c, phase));
  for (int g = 0; g < a.groups(); ++g)
    for (int k = 0; k < classes; ++k)
      in.push_back(pack_labels(a, batch, g, k, training::absent_label(plan.spec.loss, classes)));
  return in;
}

// Sums of products that a run makes.
double products_of(const program::Program& program, const Arrangement& arrangement) {
  double work = 0;
  for (const Instruction& i : program.instructions)
    work += static_cast<double>(i.outputs.size()) * static_cast<double>(i.sources.size());
  return work * arrangement.slots();
}

}  // namespace

bool moments_will_tell(const TrainingPlan& plan, const std::vector<training::Example>& seen) {
  std::vector<Batch> batches;
  for (const std::vector<std::size_t>& indices : training::batches_of(plan.spec, seen.size())) {
    Batch& batch = batches.emplace_back();
    for (std::size_t i : indices) batch.push_back(&seen[i]);
  }
  const LoweredStep lowered = lower(plan);
  ClearRun run(lowered.program, plan.parameters);
  const double images = static_cast<double>(plan.spec.batch) * plan.spec.steps;
  training::Moments means = training::no_moments(plan.step);
  const double most = std::clamp(kMostWork / products_of(lowered.program, plan.arrangement), 1.0, kMostTried);
  const int tried = std::min(plan.spec.steps, static_cast<int>(most));
  double deviation = 0;
  for (int step = 0; step < plan.spec.steps; ++step) {
    const Batch& batch =
        batches[static_cast<std::size_t>(training::batch_of(plan.spec, static_cast<int>(batches.size()), step))];
    means = training::added(std::move(means), training::moments_of(plan.step, batch), 1 / images);
    if (step >= tried) continue;
    // Masks err alike in all steps.
    deviation +=
        error_of_moments(plan.step, plan.arrangement, run.run(inputs_of(plan, batch)), 1.0 / plan.spec.steps, images) *
        plan.spec.steps / tried;
  }
  return training::weight_error(means, plan.spec.ridge, deviation) <= kMostWeightError;
}

}  // namespace sotto::lowering
