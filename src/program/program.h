#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bootstrap/bootstrap_spec.h"
#include "ckks/eval_key.h"

namespace sotto::program {

/// A ciphertext of a program: made once, by an instruction or from outside.
struct Value {
  int limbs = 0;
  double scale = 1;  ///< slots hold number * scale; negative where a factor turned the sign
};

/// Factors for the slots that repeat with a period: a power of two. One number: the same factor for all.
using Pattern = std::vector<double>;

/// A plaintext of a mix: the pattern, times a number that each run of the program may choose anew.
struct Factor {
  int pattern = -1;      ///< index into Program::patterns; -1: nothing is added
  int coefficient = -1;  ///< index into the coefficients of a run; -1: 1
};

/// One operation on ciphertexts. All sources have at least `limbs` limbs and are read at that many.
struct Instruction {
  enum class Kind {
    rotate,      ///< outputs[k] = sources[0] rotated by rotations[k] slots, with one ModUp for all
    rotate_sum,  ///< outputs[0] = sources[0] + sum of its rotations
    join,        ///< outputs[0] = sum over k of sources[k] rotated by rotations[k], with one ModDown
    multiply,    ///< outputs[0] = sum of sources[2k] sources[2k+1] + sum of numbers[k] addends[k], one relinearisation
    mix,         ///< outputs[r] = sum over k of factors[r * sources + k] sources[k] + constants[r]
    shift,       ///< outputs[0] = sources[0] + numbers[0], under the scale of the output: a factor for nothing
    bootstrap,   ///< outputs[0] = sources[0] with its levels back
  };
  Kind kind = Kind::rotate;
  int limbs = 0;     ///< before rescaling
  int rescales = 0;  ///< primes that a product or mix divides by at its end
  std::vector<int> sources = {}, outputs = {};
  std::vector<std::int64_t> rotations = {};
  std::vector<int> addends = {};
  std::vector<double> numbers = {};
  std::vector<Factor> factors = {};
  std::vector<int> constants = {};  ///< of a mix: patterns, -1: nothing is added; empty: nothing to any
};

/// A computation on ciphertexts in single assignment: what a server does between inputs and outputs, down to key
/// switches and plaintexts, without a word about what the numbers mean. A schedule that any executor can walk.
struct Program {
  std::vector<Value> values;
  std::vector<Pattern> patterns;
  std::vector<Instruction> instructions;
  std::vector<int> inputs, outputs;  ///< indices into values
  int coefficients = 0;              ///< numbers that a run brings along
  std::optional<bootstrap::BootstrapSpec> bootstrapping;

  [[nodiscard]] const Value& value(int v) const { return values[static_cast<std::size_t>(v)]; }
};

/// The scale of a product or mix before it is rescaled.
double scale_before(const Program& program, const Instruction& instruction, const std::vector<std::uint64_t>& primes);

/// The key switches of an instruction, and how often.
std::map<bootstrap::BootstrapSwitch, int> switches_of(const Program& program, const Instruction& instruction,
                                                      int log_n);

/// What a run of a program does most of.
struct Counts {
  int bootstraps = 0, products = 0;  ///< products of ciphertexts
  int key_switches = 0;              ///< those of bootstraps and products included
};
Counts counts_of(const Program& program, int log_n);

/// The keys that a program needs, at the tiers of its levels. Throws Error{bad_input} if a level has no tier.
std::vector<ckks::KeyId> required_keys(const Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n);

/// For every instruction, values of which fewer limbs are needed behind it than before, with how many: 0 for those that
/// nothing reads any more.
std::vector<std::map<int, int>> needs_after(const Program& program);

/// Takes from inputs the limbs that no instruction reads.
void trim_inputs(Program& program);

/// Hash of what a program does, as hexadecimal digits: equal for equal programs alone.
std::string digest_of(const Program& program);

/// Most bytes of ciphertexts that are there at the same time, packed, in a ring of rank 2^log_n.
std::uint64_t peak_bytes(const Program& program, int log_n);

}  // namespace sotto::program
