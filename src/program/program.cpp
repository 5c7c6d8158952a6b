#include "program/program.h"

#include <sodium.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/hex.h"
#include "simd/kernels.h"
#include "simd/tables.h"

namespace sotto::program {

namespace {

std::uint64_t galois_element(std::int64_t rotation, int log_n) {
  const auto slots = std::int64_t{1} << log_n;
  const std::int64_t turns = (rotation % slots + slots) % slots;
  return simd::pow_mod(5, static_cast<std::uint64_t>(turns), std::uint64_t{4} << log_n);
}

}  // namespace

double scale_before(const Program& program, const Instruction& i, const std::vector<std::uint64_t>& primes) {
  double scale = program.value(i.outputs.front()).scale;
  for (int k = 0; k < i.rescales; ++k) scale *= static_cast<double>(primes[static_cast<std::size_t>(i.limbs - 1 - k)]);
  return scale;
}

std::map<bootstrap::BootstrapSwitch, int> switches_of(const Program& program, const Instruction& i, int log_n) {
  std::map<bootstrap::BootstrapSwitch, int> all;
  switch (i.kind) {
    case Instruction::Kind::rotate:
    case Instruction::Kind::rotate_sum:
    case Instruction::Kind::join:
      for (std::int64_t r : i.rotations)
        if (const std::uint64_t g = galois_element(r, log_n); g != 1) ++all[{i.limbs, g}];
      break;
    case Instruction::Kind::multiply:
      if (!i.sources.empty()) ++all[{i.limbs, ckks::kRelinearise}];
      break;
    case Instruction::Kind::bootstrap:
      return bootstrap::required_switches(*program.bootstrapping, log_n);
    case Instruction::Kind::mix:
    case Instruction::Kind::shift:
      break;
  }
  return all;
}

Counts counts_of(const Program& program, int log_n) {
  Counts counts;
  for (const Instruction& i : program.instructions) {
    counts.bootstraps += i.kind == Instruction::Kind::bootstrap;
    if (i.kind == Instruction::Kind::multiply) counts.products += static_cast<int>(i.sources.size() / 2);
    for (const auto& [s, times] : switches_of(program, i, log_n)) counts.key_switches += times;
  }
  return counts;
}

std::vector<ckks::KeyId> required_keys(const Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n) {
  std::set<bootstrap::BootstrapSwitch> switches;
  for (const Instruction& i : program.instructions)
    for (const auto& [s, times] : switches_of(program, i, log_n)) switches.insert(s);
  std::set<ckks::KeyId> keys;
  for (const bootstrap::BootstrapSwitch& s : switches) {
    const int tier =
        s.galois_element == ckks::kToEphemeral ? ckks::ephemeral_tier(tiers) : ckks::tier_for(tiers, s.limbs);
    if (tier < 0) throw Error(ErrorCode::bad_input, "no evaluation key serves a level of the program");
    keys.insert({tier, s.galois_element});
  }
  return {keys.begin(), keys.end()};
}

std::vector<std::map<int, int>> needs_after(const Program& program) {
  std::vector<std::map<int, int>> after(program.instructions.size());
  std::vector<int> needed(program.values.size(), 0);  // behind the instruction at hand
  for (int v : program.outputs) needed[static_cast<std::size_t>(v)] = program.value(v).limbs;
  for (std::size_t k = program.instructions.size(); k-- > 0;) {
    const Instruction& i = program.instructions[k];
    for (int v : i.outputs)
      if (needed[static_cast<std::size_t>(v)] < program.value(v).limbs)
        after[k][v] = needed[static_cast<std::size_t>(v)];
    for (const std::vector<int>* read : {&i.sources, &i.addends})
      for (int v : *read)
        if (int& limbs = needed[static_cast<std::size_t>(v)]; limbs < i.limbs) {
          after[k].try_emplace(v, limbs);
          limbs = i.limbs;
        }
  }
  return after;
}

void trim_inputs(Program& program) {
  std::vector<int> most(program.values.size(), 0);
  for (const Instruction& i : program.instructions)
    for (const std::vector<int>* read : {&i.sources, &i.addends})
      for (int v : *read) most[static_cast<std::size_t>(v)] = std::max(most[static_cast<std::size_t>(v)], i.limbs);
  for (int v : program.inputs)
    if (most[static_cast<std::size_t>(v)] > 0)
      program.values[static_cast<std::size_t>(v)].limbs = most[static_cast<std::size_t>(v)];
}

std::string digest_of(const Program& program) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 16);
  const auto add = [&](const auto& x) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(&x), sizeof x);
  };
  const auto add_count = [&](const auto& list) { add(static_cast<std::uint64_t>(list.size())); };
  const auto add_list = [&](const auto& list) {
    add_count(list);
    for (const auto& x : list) add(x);
  };
  add_count(program.values);
  for (const Value& v : program.values) {
    add(v.limbs);
    add(v.scale);
  }
  add_count(program.patterns);
  for (const Pattern& p : program.patterns) add_list(p);
  add_count(program.instructions);
  for (const Instruction& i : program.instructions) {
    for (int field : {static_cast<int>(i.kind), i.limbs, i.rescales}) add(field);
    add_list(i.sources);
    add_list(i.outputs);
    add_list(i.rotations);
    add_list(i.addends);
    add_list(i.numbers);
    add_list(i.factors);
    add_list(i.constants);
  }
  add_list(program.inputs);
  add_list(program.outputs);
  add(program.coefficients);
  add(program.bootstrapping.has_value());
  if (const auto& b = program.bootstrapping) {
    for (int field : {b->slots_to_coeffs_factors, b->coeffs_to_slots_factors, b->degree, b->doublings, b->raised_limbs})
      add(field);
    add(b->input_peak);
  }
  unsigned char hash[16];
  crypto_generichash_final(&state, hash, sizeof hash);
  return to_hex(hash);
}

std::uint64_t peak_bytes(const Program& program, int log_n) {
  const std::uint64_t limb = 2 * (simd::kPackedBytes << log_n);
  const std::vector<std::map<int, int>> after = needs_after(program);
  std::vector<int> there(program.values.size(), 0);  // limbs
  std::uint64_t now = 0, most = 0;
  const auto hold = [&](int v, int limbs) {
    now += limb * static_cast<std::uint64_t>(limbs);
    now -= limb * static_cast<std::uint64_t>(there[static_cast<std::size_t>(v)]);
    there[static_cast<std::size_t>(v)] = limbs;
  };
  for (int v : program.inputs) hold(v, program.value(v).limbs);
  for (std::size_t k = 0; k < program.instructions.size(); ++k) {
    for (int v : program.instructions[k].outputs) hold(v, program.value(v).limbs);
    most = std::max(most, now);
    for (const auto& [v, limbs] : after[k]) hold(v, limbs);
  }
  return most;
}

}  // namespace sotto::program
