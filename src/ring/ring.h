#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "ring/pool.h"
#include "simd/kernels.h"
#include "simd/tables.h"

namespace sotto::ring {

/// Which polynomials the slots live in.
enum class RingKind {
  standard,             ///< Z[X]/(X^n + 1): n/2 complex slots
  conjugate_invariant,  ///< Z[X + 1/X]/(X^2n + 1), rank n: n real slots (ePrint 2018/952)
};

/// As files and reports call it.
inline const char* name_of(RingKind kind) { return kind == RingKind::standard ? "standard" : "conjugate-invariant"; }

/// The ring modulo each of a list of primes: transform tables, kernels, automorphisms and the memory of polynomials.
///
/// Immutable after construction but for the automorphism cache and the pool, which are thread-safe.
class Ring {
 public:
  /// log_n: 6 .. 17; primes: distinct, below 2^48, 1 modulo 2n (4n for the conjugate-invariant ring).
  Ring(int log_n, RingKind kind, std::vector<std::uint64_t> primes, const simd::Kernels& kernels,
       std::size_t memory_limit_bytes = 0);

  [[nodiscard]] int log_n() const { return log_n_; }
  [[nodiscard]] std::size_t n() const { return std::size_t{1} << log_n_; }
  [[nodiscard]] RingKind kind() const { return kind_; }
  [[nodiscard]] bool conjugate_invariant() const { return kind_ == RingKind::conjugate_invariant; }
  /// 2n or 4n: Galois elements of automorphisms are taken modulo this.
  [[nodiscard]] std::uint64_t cyclotomic_order() const { return (conjugate_invariant() ? 4 : 2) * n(); }
  /// Number of slots of one plaintext: n real or n/2 complex.
  [[nodiscard]] std::size_t slots() const { return conjugate_invariant() ? n() : n() / 2; }
  /// Bits of the largest prime.
  [[nodiscard]] int prime_bits() const {
    int bits = 0;
    for (std::size_t i = 0; i < prime_count(); ++i) bits = std::max(bits, static_cast<int>(std::bit_width(prime(i))));
    return bits;
  }
  [[nodiscard]] std::size_t prime_count() const { return primes_.size(); }
  [[nodiscard]] std::uint64_t prime(std::size_t i) const { return primes_[i]; }
  [[nodiscard]] const simd::ModulusView& modulus(std::size_t i) const { return tables_[i]->view().mod; }
  [[nodiscard]] const simd::Kernels& kernels() const { return kernels_; }
  /// Bytes of limbs taken from the system, packed or not.
  [[nodiscard]] std::size_t pool_bytes() const { return budget_.taken(); }

  /// A limb with unspecified contents.
  [[nodiscard]] Limb limb() const { return Limb(*pool_); }
  [[nodiscard]] PackedLimb packed_limb() const { return PackedLimb(*packed_pool_); }
  /// A packed copy of n words, and back.
  [[nodiscard]] PackedLimb pack(const std::uint64_t* words) const {
    PackedLimb p = packed_limb();
    kernels_.pack(p.data(), words, n());
    return p;
  }
  [[nodiscard]] Limb unpack(const PackedLimb& p) const {
    Limb l = limb();
    kernels_.unpack(l.data(), p.data(), n());
    return l;
  }

  /// In place, coefficients to values modulo prime i.
  void ntt(std::uint64_t* x, std::size_t i) const { kernels_.ntt(x, tables_[i]->view()); }
  /// Values to coefficients times `factor` modulo prime i; dst may be src.
  void intt(std::uint64_t* dst, const std::uint64_t* src, std::size_t i, std::uint64_t factor = 1) const {
    kernels_.intt(dst, src, tables_[i]->view(), factor);
  }

  /// Transform tables of the subring of a period (rank or degree), a power of two from 64 to n: its elements are
  /// constant over runs of n / period values of the full transform, in the same order.
  [[nodiscard]] const simd::NttView& subring_table(std::size_t i, std::size_t period) const;

  /// Exponent of the automorphism that moves slot j + steps to slot j (5^steps).
  [[nodiscard]] std::uint64_t rotation_galois_element(std::int64_t steps) const;
  /// Permutation table of X -> X^g; built at first use.
  [[nodiscard]] const std::uint32_t* automorphism(std::uint64_t g) const;

 private:
  int log_n_;
  RingKind kind_;
  std::vector<std::uint64_t> primes_, roots_;
  const simd::Kernels& kernels_;
  std::vector<std::unique_ptr<simd::NttTables>> tables_;
  mutable MemoryBudget budget_;
  std::unique_ptr<BlockPool> pool_, packed_pool_;
  mutable std::mutex mutex_;
  mutable std::map<std::uint64_t, std::vector<std::uint32_t>> automorphisms_;
  mutable std::map<std::pair<std::size_t, std::size_t>, std::unique_ptr<simd::NttTables>> subrings_;
};

/// Residues of one polynomial modulo primes first .. first + size - 1 of a ring.
using RnsPoly = std::vector<Limb>;
using PackedPoly = std::vector<PackedLimb>;

/// An exact change of RNS basis, prepared for one pair of prime lists (indices into a ring).
///
/// The input must have been multiplied by `input_factor(c)` modulo its own prime, which an inverse transform does for
/// free. With `exact` the result is the centred representative of the input modulo the product of the source primes;
/// without, it may exceed that by a small multiple of the product (at most half the number of primes). It comes
/// multiplied by `output_factor`, of which there is one modulo each destination prime; none: 1.
class BasisConversion {
 public:
  BasisConversion(const Ring& ring, std::vector<std::size_t> from, std::vector<std::size_t> to, bool exact,
                  std::span<const std::uint64_t> output_factor = {});

  [[nodiscard]] std::uint64_t input_factor(std::size_t c) const { return input_factor_[c]; }
  /// src: one pointer per source prime, dst: one per destination prime; n words each, coefficients.
  void run(std::span<const std::uint64_t* const> src, std::span<std::uint64_t* const> dst) const;

 private:
  const Ring& ring_;
  std::vector<std::size_t> from_, to_;
  bool exact_;
  std::vector<std::uint64_t> input_factor_;
  std::vector<double> weight_;  // to x (from + 1)
  std::vector<const simd::ModulusView*> from_mod_, to_mod_;
};

}  // namespace sotto::ring
