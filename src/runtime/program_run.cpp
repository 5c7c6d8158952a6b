#include "runtime/program_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "runtime/product_sum.h"

namespace sotto::runtime {

using ckks::Ciphertext;
using ckks::PackedCiphertext;
using program::Instruction;
using Kind = Instruction::Kind;

ProgramRun::ProgramRun(const program::Program& program, const ckks::Evaluator& evaluator,
                       const bootstrap::Bootstrapper* bootstrapper)
    : program_(program),
      evaluator_(evaluator),
      bootstrapper_(bootstrapper),
      ring_(evaluator.ring()),
      mix_(program, ring_),
      after_(program::needs_after(program)) {
  check(bootstrapper != nullptr || !program.bootstrapping, "a program that bootstraps needs a bootstrapper");
  for (std::size_t i = 0; i < ring_.prime_count(); ++i) primes_.push_back(ring_.prime(i));
}

std::vector<PackedCiphertext> ProgramRun::run(std::vector<PackedCiphertext> inputs,
                                              std::span<const double> coefficients, const ProgramHooks& hooks,
                                              KindTimes* times) const {
  check(inputs.size() == program_.inputs.size(), "a program has other inputs");
  check(coefficients.size() == static_cast<std::size_t>(program_.coefficients), "a program has other coefficients");
  Values values(program_.values.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    check(inputs[k].limbs() >= program_.value(program_.inputs[k]).limbs, "an input of a program has too few limbs");
    values[static_cast<std::size_t>(program_.inputs[k])] = std::move(inputs[k]);
  }
  inputs.clear();
  for (std::size_t k = 0; k < program_.instructions.size(); ++k) {
    if (hooks.stop != nullptr && hooks.stop->load()) throw Error(ErrorCode::interrupted, "interrupted");
    if (hooks.progress) hooks.progress(k, program_.instructions.size());
    const auto start = std::chrono::steady_clock::now();
    execute(program_.instructions[k], values, coefficients);
    if (times != nullptr)
      (*times)[program_.instructions[k].kind] +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (const auto& [v, limbs] : after_[k]) drop(values[static_cast<std::size_t>(v)], limbs);
  }
  if (hooks.progress) hooks.progress(program_.instructions.size(), program_.instructions.size());
  std::vector<PackedCiphertext> out;
  for (int v : program_.outputs) out.push_back(std::move(values[static_cast<std::size_t>(v)]));
  return out;
}

void ProgramRun::drop(PackedCiphertext& c, int limbs) {
  c.c0.resize(static_cast<std::size_t>(limbs));
  c.c1.resize(static_cast<std::size_t>(limbs));
}

Ciphertext ProgramRun::rescaled(Ciphertext c, int rescales) const {
  for (int k = 0; k < rescales; ++k) c = evaluator_.rescale(std::move(c));
  return c;
}

Ciphertext ProgramRun::multiply(const Instruction& i, const Values& values) const {
  const auto at = [&](int v) { return &values[static_cast<std::size_t>(v)]; };
  const double scale = program::scale_before(program_, i, primes_);
  std::vector<std::pair<const PackedCiphertext*, const PackedCiphertext*>> pairs;
  for (std::size_t k = 0; k < i.sources.size(); k += 2) pairs.emplace_back(at(i.sources[k]), at(i.sources[k + 1]));
  std::vector<IntegerMultiple> multiples;
  for (std::size_t k = 0; k < i.addends.size(); ++k)
    multiples.push_back({at(i.addends[k]), std::nearbyint(i.numbers[k] * scale / program_.value(i.addends[k]).scale)});
  ProductSum sum = sum_products(ring_, pairs, multiples, i.limbs);
  if (pairs.empty()) return rescaled({std::move(sum.d0), std::move(sum.d1), scale}, i.rescales);
  const int joined = std::min(i.rescales, 1);
  return rescaled(evaluator_.relinearise(sum.d0, sum.d1, sum.d2, scale, i.limbs - joined), i.rescales - joined);
}

void ProgramRun::execute(const Instruction& i, Values& values, std::span<const double> coefficients) const {
  std::vector<const PackedCiphertext*> sources;
  for (int v : i.sources) sources.push_back(&values[static_cast<std::size_t>(v)]);
  const auto put = [&](std::size_t k, Ciphertext c) {
    const int v = i.outputs[k];
    c.scale = program_.value(v).scale;
    check(c.limbs() == program_.value(v).limbs, "a value of a program has other limbs than planned");
    values[static_cast<std::size_t>(v)] = ckks::pack(ring_, std::move(c));
  };
  switch (i.kind) {
    case Kind::rotate:
      evaluator_.rotate_each(ckks::unpack(ring_, *sources.front(), i.limbs), i.rotations, put);
      break;
    case Kind::rotate_sum:
      put(0, evaluator_.rotate_sum(ckks::unpack(ring_, *sources.front(), i.limbs), i.rotations));
      break;
    case Kind::join:
      put(0, evaluator_.rotate_join(sources, i.rotations, i.limbs));
      break;
    case Kind::multiply:
      put(0, multiply(i, values));
      break;
    case Kind::mix: {
      std::vector<Ciphertext> out = mix_.run(i, sources, coefficients, program::scale_before(program_, i, primes_));
      for (std::size_t k = 0; k < out.size(); ++k) put(k, rescaled(std::move(out[k]), i.rescales));
      break;
    }
    case Kind::shift: {
      Ciphertext c = ckks::unpack(ring_, *sources.front(), i.limbs);
      c.scale = program_.value(i.outputs.front()).scale;
      put(0, evaluator_.add_scalar(std::move(c), i.numbers.front()));
      break;
    }
    case Kind::bootstrap: {
      Ciphertext c = ckks::unpack(ring_, *sources.front(), i.limbs);
      bootstrapper_->run(evaluator_, std::span(&c, 1), program_.value(i.outputs.front()).scale);
      put(0, std::move(c));
      break;
    }
  }
}

}  // namespace sotto::runtime
