// Kernels for AVX2 + FMA. This file alone is compiled with those instructions; nothing but the table leaves it.
#include <immintrin.h>

#include <new>
#include <type_traits>

#include "simd/kernels.h"

namespace sotto::simd {
namespace {

struct Avx2 {
  using D = __m256d;
  static constexpr std::size_t kLanes = 4;
  static constexpr std::size_t kTileVectors = 2, kTileRows = 2;  // 8 accumulators + 2 sources + temporaries = 16

  static inline D load(const double* p) { return _mm256_load_pd(p); }
  static inline D load_unaligned(const double* p) { return _mm256_loadu_pd(p); }
  static inline void store(double* p, D x) { _mm256_store_pd(p, x); }
  static inline void store_unaligned(double* p, D x) { _mm256_storeu_pd(p, x); }
  // The first `count` of four numbers, zeros behind them; nothing else is read or written.
  static inline D load_first(const double* p, std::size_t count) { return _mm256_maskload_pd(p, first_lanes(count)); }
  static inline void store_first(double* p, D x, std::size_t count) { _mm256_maskstore_pd(p, first_lanes(count), x); }
  static inline D set1(double x) { return _mm256_set1_pd(x); }
  static inline double first(D x) { return _mm256_cvtsd_f64(x); }
  static inline D add(D a, D b) { return _mm256_add_pd(a, b); }
  static inline D sub(D a, D b) { return _mm256_sub_pd(a, b); }
  static inline D mul(D a, D b) { return _mm256_mul_pd(a, b); }
  static inline D fma(D a, D b, D c) { return _mm256_fmadd_pd(a, b, c); }
  static inline D fms(D a, D b, D c) { return _mm256_fmsub_pd(a, b, c); }
  static inline D fnma(D a, D b, D c) { return _mm256_fnmadd_pd(a, b, c); }
  static inline D round(D x) { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x + q where x < 0 (the sign bit selects), x elsewhere. -0 never occurs: sums of integers give +0.
  static inline D add_if_negative(D x, D q) {
    return _mm256_add_pd(x, _mm256_and_pd(q, _mm256_cmp_pd(x, zero(), _CMP_LT_OQ)));
  }
  // x - q where x > half.
  static inline D centre(D x, D q, D half) {
    return _mm256_sub_pd(x, _mm256_and_pd(q, _mm256_cmp_pd(x, half, _CMP_GT_OQ)));
  }
  static inline D reverse(D x) { return _mm256_permute4x64_pd(x, 0x1b); }

  // Words below 2^52 become doubles by writing them into the mantissa of 2^52.
  static inline D from_word_bits(__m256i x) {
    return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(x, _mm256_castpd_si256(magic()))), magic());
  }
  static inline __m256i to_word_bits(D x) {
    return _mm256_xor_si256(_mm256_castpd_si256(_mm256_add_pd(x, magic())), _mm256_castpd_si256(magic()));
  }
  static inline D from_words(const std::uint64_t* p) {
    return from_word_bits(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static inline D from_words_unaligned(const std::uint64_t* p) {
    return from_word_bits(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  // Four words of six bytes.
  static inline __m256i load_packed(const unsigned char* p) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));       // bytes 0 .. 15
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8));  // bytes 8 .. 23
    return _mm256_set_m128i(
        _mm_shuffle_epi8(high, _mm_setr_epi8(4, 5, 6, 7, 8, 9, -1, -1, 10, 11, 12, 13, 14, 15, -1, -1)),
        _mm_shuffle_epi8(low, _mm_setr_epi8(0, 1, 2, 3, 4, 5, -1, -1, 6, 7, 8, 9, 10, 11, -1, -1)));
  }
  static inline void store_packed(unsigned char* p, __m256i x) {
    const __m128i join = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1);
    const __m128i low = _mm_shuffle_epi8(_mm256_castsi256_si128(x), join);
    const __m128i high = _mm_shuffle_epi8(_mm256_extracti128_si256(x, 1), join);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_or_si128(low, _mm_slli_si128(high, 12)));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p + 16), _mm_srli_si128(high, 4));
  }
  static inline __m256i load_words(const std::uint64_t* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  }
  static inline void store_words(std::uint64_t* p, __m256i x) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), x); }
  static inline D from_packed(const unsigned char* p) { return from_word_bits(load_packed(p)); }
  static inline void to_words(std::uint64_t* p, D x) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(p), to_word_bits(x));
  }
  static inline void to_words_unaligned(std::uint64_t* p, D x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_word_bits(x));
  }
  static inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

  static inline void transpose(D* r) {
    const D a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    const D c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
  }

 private:
  static inline __m256i first_lanes(std::size_t count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(count)), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static inline D zero() { return _mm256_setzero_pd(); }
  static inline D magic() { return _mm256_set1_pd(0x1p52); }
};

// Each builds on those before it.
// clang-format off
#include "simd/words.inl.h"
#include "simd/reals.inl.h"
#include "simd/fp_core.inl.h"
#include "simd/fp_matmul.inl.h"
#include "simd/fp_ntt.inl.h"
#include "simd/fp_pointwise.inl.h"
#include "simd/x86_automorphism.inl.h"
// clang-format on

constexpr Kernels kAvx2{"avx2",
                        TwiddleLayout::fp4,
                        ntt<Avx2>,
                        intt<Avx2>,
                        add<Avx2>,
                        sub<Avx2>,
                        mul<Avx2>,
                        mul_scalar_add<Avx2>,
                        sub_mul_scalar<Avx2>,
                        square<Avx2>,
                        inner_product<Avx2>,
                        switch_end<Avx2>,
                        matmul<Avx2>,
                        automorphism,
                        residues<Avx2>,
                        pack_words<Avx2>,
                        unpack_words<Avx2>,
                        add_scaled<Avx2>};

}  // namespace

const Kernels* avx2_kernels() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kAvx2 : nullptr;
}

}  // namespace sotto::simd
