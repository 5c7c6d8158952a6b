#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "program/program.h"

namespace sotto::program {

/// Least scale of the plaintexts of a mix: below it, rounding them to integers leaves too little.
inline constexpr double kLeastPlaintextScale = 0x1p12;

/// A sum of products for Builder::multiply.
using Products = std::vector<std::pair<int, int>>;

/// A multiple of a value.
struct Multiple {
  int value = 0;
  double factor = 1;
};

/// Writes a program instruction by instruction and keeps its levels and scales.
///
/// Scales are free: a product is divided by as many primes as leave at least `least_scale`, so a level is what its
/// operands' scales make of it and not a prime. Where a program runs out of limbs, or a scale is too small for a
/// multiple, it is written on, without rescaling, and does not fit.
class Builder {
 public:
  /// primes: of the ring, ciphertext primes first. floor: limbs that every product leaves.
  Builder(std::vector<std::uint64_t> primes, double least_scale, int floor)
      : primes_(std::move(primes)), least_scale_(least_scale), floor_(floor) {}

  int input(int limbs, double scale);
  void output(int value) { program_.outputs.push_back(value); }
  int pattern(Pattern pattern);
  [[nodiscard]] std::size_t period(int pattern) const {
    return program_.patterns[static_cast<std::size_t>(pattern)].size();
  }
  /// A number that runs bring along.
  int coefficient() { return program_.coefficients++; }

  [[nodiscard]] const Value& value(int v) const { return program_.value(v); }

  /// One value for each rotation, of so many limbs (0: all); those by zero are the value itself.
  std::vector<int> rotate(int value, std::span<const std::int64_t> rotations, int limbs = 0);
  int rotate_sum(int value, std::vector<std::int64_t> rotations);
  /// sum of values[k], of equal scales (to 2^-20), rotated by rotations[k].
  int join(std::vector<int> values, std::vector<std::int64_t> rotations);
  /// sum of products and of multiples of values, relinearised and rescaled. Products have equal scales (to 2^-20) or
  /// there is none; then `scale` is that of the sum. Multiples are integers at that scale (to 2^-20), or it does not
  /// fit.
  int multiply(const Products& products, std::span<const Multiple> addends = {}, double scale = 0);
  /// factors: [row][value]. One value per row, which has `scale` before it is rescaled; of so many limbs before that
  /// (0: all that the values have). rescales: how often, or -1. constants: patterns that are added, by row, or empty.
  std::vector<int> mix(const std::vector<int>& values, const std::vector<std::vector<Factor>>& factors, double scale,
                       int limbs = 0, int rescales = -1, std::vector<int> constants = {});
  /// value times factor plus number, without work: the scale changes.
  int affine(int value, double factor, double number);
  int bootstrap(int value, const bootstrap::BootstrapSpec& spec, double scale);

  /// Whether every product left as many limbs as it must, and every multiple was an integer.
  [[nodiscard]] bool fits() const { return fits_; }
  /// Primes by which a number of this scale at so many limbs is divided, which leaves the floor; else it does not fit.
  [[nodiscard]] int rescales(int limbs, double scale);
  /// Says that what is to come needs more limbs than there are.
  void does_not_fit() { fits_ = false; }

  /// Ciphertext prime number `index`.
  [[nodiscard]] double prime(int index) const { return static_cast<double>(primes_[static_cast<std::size_t>(index)]); }
  /// Limbs that all of these have.
  [[nodiscard]] int common_limbs(std::span<const int> values) const;

  [[nodiscard]] Program take() { return std::move(program_); }

 private:
  int make(int limbs, double scale);
  [[nodiscard]] bool integral(std::span<const Multiple> multiples, double scale) const;
  [[nodiscard]] bool is_multiple(const Factor& factor, int value, double scale) const;
  [[nodiscard]] double rescaled(int limbs, double scale, int rescales) const;

  Program program_;
  std::vector<std::uint64_t> primes_;
  double least_scale_;
  int floor_;
  bool fits_ = true;
  std::map<Pattern, int> patterns_;
};

}  // namespace sotto::program
