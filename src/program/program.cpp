#include "program/program.h"

#include <algorithm>
#include <set>

#include "base/error.h"
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

std::vector<ckks::KeyId> required_keys(const Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n) {
  std::set<bootstrap::BootstrapSwitch> switches;
  for (const Instruction& i : program.instructions)
    for (const auto& [s, times] : switches_of(program, i, log_n)) switches.insert(s);
  std::set<ckks::KeyId> keys;
  for (const bootstrap::BootstrapSwitch& s : switches) {
    const int tier = s.galois_element == ckks::kToEphemeral ? ckks::ephemeral_tier(tiers)
                                                            : ckks::tier_for(tiers, s.limbs);
    if (tier < 0) throw Error(ErrorCode::bad_input, "no evaluation key serves a level of the program");
    keys.insert({tier, s.galois_element});
  }
  return {keys.begin(), keys.end()};
}

std::vector<int> last_uses(const Program& program) {
  std::vector<int> last(program.values.size(), -1);
  for (std::size_t k = 0; k < program.instructions.size(); ++k) {
    for (int v : program.instructions[k].sources) last[static_cast<std::size_t>(v)] = static_cast<int>(k);
    for (int v : program.instructions[k].addends) last[static_cast<std::size_t>(v)] = static_cast<int>(k);
  }
  for (int v : program.outputs) last[static_cast<std::size_t>(v)] = static_cast<int>(program.instructions.size());
  return last;
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

std::uint64_t peak_bytes(const Program& program, int log_n) {
  const std::uint64_t limb = 2 * (simd::kPackedBytes << log_n);
  const std::vector<int> last = last_uses(program);
  std::vector<std::vector<int>> dies(program.instructions.size() + 1);
  for (std::size_t v = 0; v < last.size(); ++v)
    if (last[v] >= 0) dies[static_cast<std::size_t>(last[v])].push_back(static_cast<int>(v));
  const auto bytes = [&](int v) { return limb * static_cast<std::uint64_t>(program.value(v).limbs); };
  std::uint64_t now = 0, most = 0;
  for (int v : program.inputs) now += bytes(v);
  for (std::size_t k = 0; k < program.instructions.size(); ++k) {
    for (int v : program.instructions[k].outputs) now += bytes(v);
    most = std::max(most, now);
    for (int v : dies[k]) now -= bytes(v);
  }
  return most;
}

}  // namespace sotto::program
