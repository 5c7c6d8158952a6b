// Vectors of eight 64-bit words or doubles. Included inside an anonymous namespace by the files that are compiled for
// AVX-512.

struct Avx512 {
  using D = __m512d;
  using U = __m512i;
  static constexpr std::size_t kLanes = 8;

  static inline D set1(double x) { return _mm512_set1_pd(x); }
  static inline D add(D a, D b) { return _mm512_add_pd(a, b); }
  static inline D fma(D a, D b, D c) { return _mm512_fmadd_pd(a, b, c); }
  static inline D mul(D a, D b) { return _mm512_mul_pd(a, b); }
  static inline D round(D x) { return _mm512_roundscale_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static inline D centre(D x, D q, D half) {
    return _mm512_mask_sub_pd(x, _mm512_cmp_pd_mask(x, half, _CMP_GT_OQ), x, q);
  }

  // x + q where x < 0.
  static inline D add_if_negative(D x, D q) {
    return _mm512_mask_add_pd(x, _mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_LT_OQ), x, q);
  }

  static inline D from_word_bits(U x) {
    return _mm512_sub_pd(_mm512_castsi512_pd(_mm512_or_si512(x, _mm512_castpd_si512(magic()))), magic());
  }
  static inline U to_word_bits(D x) {
    return _mm512_xor_si512(_mm512_castpd_si512(_mm512_add_pd(x, magic())), _mm512_castpd_si512(magic()));
  }
  static inline D load_unaligned(const double* p) { return _mm512_loadu_pd(p); }
  static inline void store_unaligned(double* p, D x) { _mm512_storeu_pd(p, x); }
  // The first `count` of eight numbers, zeros behind them; nothing else is read or written.
  static inline D load_first(const double* p, std::size_t count) {
    return _mm512_maskz_loadu_pd(first_lanes(count), p);
  }
  static inline void store_first(double* p, D x, std::size_t count) { _mm512_mask_storeu_pd(p, first_lanes(count), x); }
  static inline D from_words(const std::uint64_t* p) { return from_word_bits(_mm512_load_si512(p)); }
  static inline void to_words(std::uint64_t* p, D x) { _mm512_store_si512(p, to_word_bits(x)); }
  // Two cache lines.
  static inline void prefetch2(const void* p) {
    _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
    _mm_prefetch(static_cast<const char*>(p) + 64, _MM_HINT_T0);
  }

  static inline void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

  // 52-bit integer arithmetic; operands below 2^52.
  static inline U load_words(const std::uint64_t* p) { return _mm512_load_si512(p); }
  // Eight words of six bytes: three 16-bit lanes each.
  static inline U load_packed(const unsigned char* p) {
    const U spread = _mm512_set_epi16(0, 23, 22, 21, 0, 20, 19, 18, 0, 17, 16, 15, 0, 14, 13, 12, 0, 11, 10, 9, 0, 8, 7,
                                      6, 0, 5, 4, 3, 0, 2, 1, 0);
    return _mm512_maskz_permutexvar_epi16(0x77777777, spread, _mm512_maskz_loadu_epi64(0x3f, p));
  }
  static inline void store_packed(unsigned char* p, U x) {
    const U join = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 30, 29, 28, 26, 25, 24, 22, 21, 20, 18, 17, 16, 14, 13, 12,
                                    10, 9, 8, 6, 5, 4, 2, 1, 0);
    _mm512_mask_storeu_epi64(p, 0x3f, _mm512_permutexvar_epi16(join, x));
  }
  static inline U load_words_unaligned(const std::uint64_t* p) { return _mm512_loadu_si512(p); }
  static inline void store_words(std::uint64_t* p, U x) { _mm512_store_si512(p, x); }
  static inline void store_words_unaligned(std::uint64_t* p, U x) { _mm512_storeu_si512(p, x); }
  static inline U reverse_words(U x) { return _mm512_permutexvar_epi64(_mm512_set_epi64(0, 1, 2, 3, 4, 5, 6, 7), x); }
  static inline U sub_words(U a, U b) { return _mm512_sub_epi64(a, b); }
  static inline U min_words(U a, U b) { return _mm512_min_epu64(a, b); }
  // a - b where x > limit, else a.
  static inline U sub_if_above(U a, U x, U limit, U b) {
    return _mm512_mask_sub_epi64(a, _mm512_cmpgt_epu64_mask(x, limit), a, b);
  }
  static inline U set1_word(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
  static inline U madd_low(U acc, U a, U b) { return _mm512_madd52lo_epu64(acc, a, b); }
  static inline U madd_high(U acc, U a, U b) { return _mm512_madd52hi_epu64(acc, a, b); }
  static inline U and_words(U a, U b) { return _mm512_and_si512(a, b); }
  static inline U add_words(U a, U b) { return _mm512_add_epi64(a, b); }
  static inline U shift_right_52(U a) { return _mm512_srli_epi64(a, 52); }

  static inline void transpose_words(U* r) {
    U t[8];
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
    U u[8];
    for (int i = 0; i < 8; i += 4) {
      for (int k = 0; k < 2; ++k) {
        u[i + k] = _mm512_shuffle_i64x2(t[i + k], t[i + k + 2], 0x88);
        u[i + k + 2] = _mm512_shuffle_i64x2(t[i + k], t[i + k + 2], 0xdd);
      }
    }
    for (int k = 0; k < 4; ++k) {
      r[k] = _mm512_shuffle_i64x2(u[k], u[k + 4], 0x88);
      r[k + 4] = _mm512_shuffle_i64x2(u[k], u[k + 4], 0xdd);
    }
  }

 private:
  static inline __mmask8 first_lanes(std::size_t count) { return static_cast<__mmask8>((1u << count) - 1); }
  static inline D magic() { return _mm512_set1_pd(0x1p52); }
};
