#pragma once

#include <cstddef>
#include <cstdint>

namespace sotto::simd {

/// Every modulus is below 2^48. That bound buys three things: a residue is six bytes, a double holds 32 q exactly
/// (lazy reductions), and 24 products of centred residues fit one pair of error-free accumulators (see
/// fp_matmul.inl.h).
inline constexpr int kMaxModulusBits = 48;

/// Bytes of a word in a packed array: keys and waiting ciphertexts are stored so, little-endian.
inline constexpr std::size_t kPackedBytes = 6;

/// A modulus and the constants of the kernel sets.
struct ModulusView {
  std::uint64_t q = 0;          ///< odd prime, 2^20 < q < 2^48
  double qd = 0;                ///< q
  double qinv = 0;              ///< 1 / q, rounded to nearest
  std::uint64_t inverse52 = 0;  ///< floor(2^52 / q)
  std::uint64_t r52 = 0;        ///< 2^52 mod q
  std::uint64_t r52_shoup = 0;  ///< floor(r52 2^52 / q)
};

/// How a kernel set wants its twiddle factors.
enum class TwiddleLayout {
  shoup,  ///< integers with Shoup quotients (scalar kernels)
  fp4,    ///< centred doubles for vectors of 4, see below
  ifma8,  ///< words with 52-bit Shoup quotients for vectors of 8, see below
};
// The vector layouts hold the last log2(L) levels, which a vector kernel works on with one group per lane,
// de-interleaved: at the level with S nodes per group of L words, node S (L b + g) + s is found at place S L b + s L +
// g.

/// Twiddle factors of one direction. Node m + i (m = 1, 2, 4, .., n/2; i < m) is the i-th butterfly group of the level
/// with m groups, in bit-reversed order.
struct TwiddleView {
  /// Words in [0, q): n of them (shoup), or 5/8 n (ifma8): node p < n/8 has its word at 2 p and floor(word * 2^52 / q)
  /// at 2 p + 1; of the last three levels (S = 1, 2, 4) only the quotients of the nodes with s = 0 are stored, at n/4 +
  /// log2(S) n/8 + L b + g. The others are these times `turn`.
  const std::uint64_t* value = nullptr;
  const std::uint64_t* shoup = nullptr;  ///< n words, floor(value * 2^64 / q); TwiddleLayout::shoup only
  const double* fp = nullptr;            ///< n centred values; TwiddleLayout::fp4 only
  /// Node S p + s is node S p times turn[s - 1], for every level and p; s = 1, 2, 3. TwiddleLayout::ifma8 only.
  std::uint64_t turn[3] = {}, turn_shoup[3] = {};
};

/// Everything a transform of length n modulo q needs.
struct NttView {
  ModulusView mod;
  std::size_t n = 0;                 ///< transform length, a power of two, 64 .. 2^17
  bool conjugate_invariant = false;  ///< fold (a_i, a_{n-i}) first: ring Z[X + 1/X] / (X^2n + 1), ePrint 2018/952
  std::uint64_t imag = 0;            ///< square root of -1 modulo q; used by the fold
  TwiddleView forward;
  TwiddleView inverse;
};

/// What the sums of a matrix product begin with.
enum class SumStart {
  zero,
  constant,  ///< column `cols` of the weights, in the first set only; not with `exact`
  present,   ///< what the destinations hold
};

/// A modular matrix product: dst[r][j] = sum_c weight[r][c] * src[c][j] mod dst_mod[r], for j < length.
///
/// Source words are residues of src_mod[c], read as centred representatives in (-q/2, q/2]; weights are centred
/// representatives of residues of dst_mod[r]. One kernel serves the convolution product (all moduli equal) and the
/// conversion between RNS bases (sources are the input primes, destinations the output primes).
struct MatmulArgs {
  const std::uint64_t* const* src = nullptr;    ///< cols pointers to length words
  const ModulusView* const* src_mod = nullptr;  ///< cols moduli
  std::uint64_t* const* dst = nullptr;          ///< rows pointers to length words; may not overlap any source
  const ModulusView* const* dst_mod = nullptr;  ///< rows moduli
  const double* weight = nullptr;               ///< rows x stride, row-major, integers of magnitude <= q/2
  std::size_t stride = 0;                       ///< >= cols (+ 1 if exact or with a constant)
  std::size_t rows = 0;
  std::size_t cols = 0;    ///< <= 65536
  std::size_t length = 0;  ///< multiple of 16
  /// If set, one more source row follows the last: round(sum_c src[c][j] / q_c), the multiple of the product of the
  /// source primes by which the sum overshoots the centred value. Its weight is column `cols`. Halevi-Polyakov-Shoup,
  /// ePrint 2018/117, section 2.
  bool exact = false;
  const unsigned char* const* packed = nullptr;  ///< instead of src, not with exact: cols pointers to packed words
  /// The same weights for so many sets of sources and destinations: src or packed then hold sets x cols pointers, dst
  /// sets x rows. Weights are prepared once.
  std::size_t sets = 1;
  SumStart start = SumStart::zero;

  /// The arguments of one set.
  [[nodiscard]] MatmulArgs set(std::size_t k) const {
    MatmulArgs one = *this;
    if (src != nullptr) one.src += k * cols;
    if (packed != nullptr) one.packed += k * cols;
    one.dst += k * rows;
    one.sets = 1;
    if (k > 0 && start == SumStart::constant) one.start = SumStart::zero;
    return one;
  }
};

/// The end of a key switch modulo one prime, with the key-switching inner product in it (p = 0, 1):
/// y_p = (sum_t x[t] * k_p[t] - y_p) * inverse + d_p * factor.
struct SwitchEnd {
  const std::uint64_t* const* x = nullptr;   ///< `terms` digits, values
  const unsigned char* const* k0 = nullptr;  ///< packed keys
  const unsigned char* const* k1 = nullptr;
  std::size_t terms = 0;  ///< 1 .. 8
  std::uint64_t* y[2] = {};
  std::uint64_t inverse = 0;
  const std::uint64_t* d[2] = {};  ///< null: 0
  std::uint64_t factor = 0;
};

/// A permutation of the n words of a transformed polynomial: n/4 entries (source group of four << 3 | order in it).
using AutomorphismTable = const std::uint32_t*;

/// One implementation of all kernels. All polynomials are arrays of words in [0, q), 64-byte aligned; every set gives
/// exactly the words of the scalar set, which is the specification.
struct Kernels {
  const char* name;
  TwiddleLayout layout;

  /// In place: coefficients to values in bit-reversed order (index k holds the value at the exponent of `exponent_of`).
  void (*ntt)(std::uint64_t* x, const NttView& t);
  /// dst = the inverse of src, times `factor` in [0, q); dst may be src.
  void (*intt)(std::uint64_t* dst, const std::uint64_t* src, const NttView& t, std::uint64_t factor);

  void (*add)(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n, const ModulusView& q);
  void (*sub)(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n, const ModulusView& q);
  void (*mul)(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n, const ModulusView& q);
  /// dst = a * c + b; b may be null (then 0).
  void (*mul_scalar_add)(std::uint64_t* dst, const std::uint64_t* a, std::uint64_t c, const std::uint64_t* b,
                         std::size_t n, const ModulusView& q);
  /// dst = (a - b) * c, the last step of a division by the special primes.
  void (*sub_mul_scalar)(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t c,
                         std::size_t n, const ModulusView& q);
  /// (d0, d1, d2) = (c0^2, 2 c0 c1, c1^2).
  void (*square)(std::uint64_t* d0, std::uint64_t* d1, std::uint64_t* d2, const std::uint64_t* c0,
                 const std::uint64_t* c1, std::size_t n, const ModulusView& q);
  /// acc0 = sum_t x[t] * k0[t], acc1 = sum_t x[t] * k1[t]; terms in 1..8; k0 and k1 are packed. The key-switching
  /// inner product.
  void (*inner_product)(std::uint64_t* acc0, std::uint64_t* acc1, const std::uint64_t* const* x,
                        const unsigned char* const* k0, const unsigned char* const* k1, std::size_t terms,
                        std::size_t n, const ModulusView& q);
  void (*switch_end)(const SwitchEnd& e, std::size_t n, const ModulusView& q);
  void (*matmul)(const MatmulArgs& args);
  /// dst[4 t + r] = src[4 (table[t] >> 3) + order(table[t] & 7, r)]; dst and src distinct.
  void (*automorphism)(std::uint64_t* dst, const std::uint64_t* src, AutomorphismTable table, std::size_t n);
  /// dst = src modulo q: integers of magnitude below 2^53; src needs no alignment, n a multiple of 16.
  void (*residues)(std::uint64_t* dst, const double* src, std::size_t n, const ModulusView& q);
  /// Words below 2^48 to six bytes each, and back; n a multiple of 16, packed arrays need no alignment.
  void (*pack)(unsigned char* dst, const std::uint64_t* src, std::size_t n);
  void (*unpack)(std::uint64_t* dst, const unsigned char* src, std::size_t n);
  /// y += a[0] x[0] + .. + a[terms - 1] x[terms - 1] for any n real numbers, one term after the other, each product and
  /// sum rounded; no alignment, no overlap. What networks in the clear are made of.
  void (*add_scaled)(double* y, const double* const* x, const double* a, std::size_t terms, std::size_t n);
};

/// Order of the four words of a group for code 0..7: words of a group sit at bit-reversed quarter turns rho(r), and an
/// automorphism maps quarter turn v to v * (code < 4 ? 1 : 3) + code mod 4.
inline constexpr std::uint8_t kGroupOrder[8][4] = {{0, 1, 2, 3}, {2, 3, 1, 0}, {1, 0, 3, 2}, {3, 2, 0, 1},
                                                   {0, 1, 3, 2}, {2, 3, 0, 1}, {1, 0, 2, 3}, {3, 2, 1, 0}};

/// The specification: portable C++.
const Kernels& scalar_kernels();
/// AVX2 + FMA; null if this build or this processor has none.
const Kernels* avx2_kernels();
/// AVX-512 (F, DQ, BW, VL, IFMA); null if this build or this processor has none.
const Kernels* avx512_kernels();

/// The same with matrix products of many columns on tiles (AMX-INT8, AVX-512 VBMI); null if this build, this processor
/// or the operating system has none.
const Kernels* amx_kernels();

/// The kernel set for this process: the best one that the processor supports and that passes `self_test`, or the one
/// that the environment variable SOTTO_KERNELS (scalar, avx2, avx512, amx) names. Throws Error{usage} for a name that
/// is unknown or not available here.
const Kernels& select_kernels();

/// Compares `k` with the scalar set on fixed pseudo-random and extreme inputs (about a millisecond).
bool self_test(const Kernels& k);

}  // namespace sotto::simd
