// Number-theoretic transforms on doubles: column pass, then row pass (inverse: the other way round), so that each pass
// works inside the first-level cache. See fp_core.inl.h for the number format and bounds:
// forward, |x| grows from 1 q by |x| <- 1.047 |x| + 0.5 q per level, below 16 q after 17 levels: no reduction at all;
// inverse, sums double per level and are reduced after every second one, which keeps them below 6 q.

inline constexpr std::size_t kRowLog = 8;     // a row is 256 words, 2 KiB
inline constexpr std::size_t kColumns = 8;    // a column block is one cache line wide
inline constexpr std::size_t kMaxRows = 512;  // 2^17 / 2^8

struct FpModulus {
  double q, qinv;
};

template <class V>
inline void butterfly(typename V::D& a, typename V::D& b, typename V::D w, typename V::D q, typename V::D qinv) {
  const auto t = mul_mod<V>(b, w, q, qinv);
  b = V::sub(a, t);
  a = V::add(a, t);
}

template <class V>
inline void inverse_butterfly(typename V::D& a, typename V::D& b, typename V::D w, typename V::D q,
                              typename V::D qinv) {
  const auto d = V::sub(a, b);
  a = V::add(a, b);
  b = mul_mod<V>(d, w, q, qinv);
}

// Levels over an array of `rows` vectors-rows of `width` doubles, row stride `width`. Level m has m groups; the twiddle
// of group i is w[(m0 * m) + base * m + i], which serves the column pass (m0 = 1, base = 0) and rows (m0 = C, base =
// r).
template <class V>
inline void forward_levels(double* x, std::size_t rows, std::size_t width, std::size_t stop, const double* w,
                           std::size_t m0, std::size_t base, typename V::D q, typename V::D qinv) {
  std::size_t m = 1, half = rows / 2;  // in rows
  // Levels until `half` < stop; radix 2 once if their number is odd.
  std::size_t levels = 0;
  for (std::size_t h = half; h >= stop && h > 0; h /= 2) ++levels;
  if (levels % 2 == 1) {
    const auto w1 = V::set1(w[m0 + base]);
    for (std::size_t j = 0; j < half * width; j += V::kLanes) {
      auto a = V::load(x + j), b = V::load(x + j + half * width);
      butterfly<V>(a, b, w1, q, qinv);
      V::store(x + j, a);
      V::store(x + j + half * width, b);
    }
    m *= 2;
    half /= 2;
    --levels;
  }
  for (; levels > 0; levels -= 2, m *= 4, half /= 4) {
    const std::size_t quarter = half / 2 * width;
    for (std::size_t i = 0; i < m; ++i) {
      const auto w1 = V::set1(w[(m0 + base) * m + i]);
      const auto w2 = V::set1(w[(m0 + base) * 2 * m + 2 * i]);
      const auto w3 = V::set1(w[(m0 + base) * 2 * m + 2 * i + 1]);
      double* p = x + i * 4 * quarter;
      for (std::size_t j = 0; j < quarter; j += V::kLanes) {
        auto a = V::load(p + j), b = V::load(p + j + quarter);
        auto c = V::load(p + j + 2 * quarter), d = V::load(p + j + 3 * quarter);
        butterfly<V>(a, c, w1, q, qinv);
        butterfly<V>(b, d, w1, q, qinv);
        butterfly<V>(a, b, w2, q, qinv);
        butterfly<V>(c, d, w3, q, qinv);
        V::store(p + j, a);
        V::store(p + j + quarter, b);
        V::store(p + j + 2 * quarter, c);
        V::store(p + j + 3 * quarter, d);
      }
    }
  }
}

// The inverse of forward_levels: starts at half = start (in rows) and ends with one group.
template <class V>
inline void inverse_levels(double* x, std::size_t rows, std::size_t width, std::size_t start, const double* w,
                           std::size_t m0, std::size_t base, typename V::D q, typename V::D qinv) {
  std::size_t half = start, m = rows / (2 * start);
  std::size_t levels = 0;
  for (std::size_t h = half; h < rows; h *= 2) ++levels;
  for (; levels > 1; levels -= 2, m /= 4, half *= 4) {
    const std::size_t quarter = half * width;
    for (std::size_t i = 0; i < m / 2; ++i) {
      const auto w1 = V::set1(w[(m0 + base) * (m / 2) + i]);
      const auto w2 = V::set1(w[(m0 + base) * m + 2 * i]);
      const auto w3 = V::set1(w[(m0 + base) * m + 2 * i + 1]);
      double* p = x + i * 4 * quarter;
      for (std::size_t j = 0; j < quarter; j += V::kLanes) {
        auto a = V::load(p + j), b = V::load(p + j + quarter);
        auto c = V::load(p + j + 2 * quarter), d = V::load(p + j + 3 * quarter);
        inverse_butterfly<V>(a, b, w2, q, qinv);
        inverse_butterfly<V>(c, d, w3, q, qinv);
        inverse_butterfly<V>(a, c, w1, q, qinv);
        inverse_butterfly<V>(b, d, w1, q, qinv);
        V::store(p + j, reduce<V>(a, q, qinv));
        V::store(p + j + quarter, b);
        V::store(p + j + 2 * quarter, c);
        V::store(p + j + 3 * quarter, d);
      }
    }
  }
  if (levels == 1) {
    const auto w1 = V::set1(w[m0 + base]);
    for (std::size_t j = 0; j < half * width; j += V::kLanes) {
      auto a = V::load(x + j), b = V::load(x + j + half * width);
      inverse_butterfly<V>(a, b, w1, q, qinv);
      V::store(x + j, reduce<V>(a, q, qinv));
      V::store(x + j + half * width, b);
    }
  }
}

// The last log2(kLanes) levels of kLanes * kLanes contiguous words, one group per lane. `block` counts such squares.
template <class V>
inline void forward_tail(double* x, std::uint64_t* out, std::size_t n, std::size_t block, const double* w,
                         typename V::D q, typename V::D qinv) {
  constexpr std::size_t L = V::kLanes;
  typename V::D r[L];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < L; ++i) r[i] = V::load(x + i * L);
  V::transpose(r);
#pragma GCC unroll 3
  for (std::size_t sets = 1; sets < L; sets *= 2) {
    const double* level = w + n / L * sets + block * L * sets;
    const std::size_t half = L / (2 * sets);
#pragma GCC unroll 4
    for (std::size_t s = 0; s < sets; ++s) {
      const auto tw = V::load(level + s * L);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < half; ++j) butterfly<V>(r[2 * s * half + j], r[2 * s * half + half + j], tw, q, qinv);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < L; ++i) r[i] = canonical<V>(r[i], q, qinv);
  V::transpose(r);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < L; ++i) V::to_words(out + i * L, r[i]);
}

template <class V>
inline void inverse_head(const std::uint64_t* in, double* x, std::size_t n, std::size_t block, const double* w,
                         typename V::D q, typename V::D qinv) {
  constexpr std::size_t L = V::kLanes;
  typename V::D r[L];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < L; ++i) r[i] = V::from_words(in + i * L);
  V::transpose(r);
#pragma GCC unroll 3
  for (std::size_t sets = L / 2; sets >= 1; sets /= 2) {
    const double* level = w + n / L * sets + block * L * sets;
    const std::size_t half = L / (2 * sets);
#pragma GCC unroll 4
    for (std::size_t s = 0; s < sets; ++s) {
      const auto tw = V::load(level + s * L);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < half; ++j)
        inverse_butterfly<V>(r[2 * s * half + j], r[2 * s * half + half + j], tw, q, qinv);
    }
  }
  r[0] = reduce<V>(r[0], q, qinv);
  V::transpose(r);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < L; ++i) V::store(x + i * L, r[i]);
}

// The words of an array hold raw doubles between the passes.
inline double* as_doubles(std::uint64_t* x) { return reinterpret_cast<double*>(x); }

// A word below 2^63 as a number and back, through signed ones: the other conversions branch on the word, which may be
// secret.
inline double to_double(std::uint64_t word) { return static_cast<double>(static_cast<std::int64_t>(word)); }
inline std::uint64_t to_word(double value) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(value)); }

// d_i = a_i - I a_{n-i}; leaves raw doubles, |d| <= 1.6 q.
template <class V>
inline void fold(std::uint64_t* x, const NttView& t, typename V::D q, typename V::D qinv) {
  constexpr std::size_t L = V::kLanes;
  const std::size_t n = t.n;
  double* d = as_doubles(x);
  const double imag = centred(t.imag, t.mod.q);
  const auto vi = V::set1(imag);
  // i = 1 .. L-1, their mirrors, 0 and n/2 one by one, the rest in vectors.
  auto single = [&](std::size_t i) {
    const std::uint64_t lo = x[i], hi = x[n - i];
    typename V::D a = V::set1(to_double(lo)), b = V::set1(to_double(hi));
    const auto ra = V::sub(a, mul_mod<V>(b, vi, q, qinv)), rb = V::sub(b, mul_mod<V>(a, vi, q, qinv));
    d[i] = V::first(ra);
    d[n - i] = V::first(rb);
  };
  d[0] = to_double(x[0]);
  for (std::size_t i = 1; i < L; ++i) single(i);
  for (std::size_t i = L; i < n / 2; i += L) {
    const auto a = V::from_words(x + i);
    const auto b = V::reverse(V::from_words_unaligned(x + n - i - (L - 1)));
    V::store(d + i, V::sub(a, mul_mod<V>(b, vi, q, qinv)));
    V::store_unaligned(d + n - i - (L - 1), V::reverse(V::sub(b, mul_mod<V>(a, vi, q, qinv))));
  }
  single(n / 2);
}

// a_i = (d_i + I d_{n-i}) * scale, for raw doubles |d| <= 6 q; scale2 = I * scale; scale0 is for a_0.
template <class V>
inline void unfold(std::uint64_t* x, const NttView& t, double scale, double imag, double scale0, typename V::D q,
                   typename V::D qinv) {
  constexpr std::size_t L = V::kLanes;
  const std::size_t n = t.n;
  double* d = as_doubles(x);
  const auto vi = V::set1(imag), vs = V::set1(scale);
  auto join = [&](typename V::D a, typename V::D b) {
    return canonical<V>(mul_mod<V>(V::add(a, mul_mod<V>(b, vi, q, qinv)), vs, q, qinv), q, qinv);
  };
  auto single = [&](std::size_t i) {
    const auto a = V::set1(d[i]), b = V::set1(d[n - i]);
    const double lo = V::first(join(a, b)), hi = V::first(join(b, a));
    x[i] = to_word(lo);
    x[n - i] = to_word(hi);
  };
  const auto zero = canonical<V>(mul_mod<V>(V::set1(d[0]), V::set1(scale0), q, qinv), q, qinv);
  x[0] = to_word(V::first(zero));
  for (std::size_t i = 1; i < L; ++i) single(i);
  for (std::size_t i = L; i < n / 2; i += L) {
    const auto a = V::load(d + i);
    const auto b = V::reverse(V::load_unaligned(d + n - i - (L - 1)));
    V::to_words(x + i, join(a, b));
    V::to_words_unaligned(x + n - i - (L - 1), V::reverse(join(b, a)));
  }
  single(n / 2);
}

template <class V>
void ntt(std::uint64_t* x, const NttView& t) {
  const auto q = V::set1(t.mod.qd), qinv = V::set1(t.mod.qinv);
  const std::size_t n = t.n, row = n < (1u << kRowLog) ? n : (1u << kRowLog), rows = n / row;
  double* d = as_doubles(x);
  const double* w = t.forward.fp;
  if (t.conjugate_invariant) fold<V>(x, t, q, qinv);
  if (rows > 1) {
    alignas(64) double buffer[kMaxRows * kColumns];
    for (std::size_t c = 0; c < row; c += kColumns) {
      for (std::size_t r = 0; r < rows; ++r) {
        V::prefetch(x + r * row + c + kColumns);
        for (std::size_t k = 0; k < kColumns; k += V::kLanes) {
          const std::size_t at = r * row + c + k;
          V::store(buffer + r * kColumns + k, t.conjugate_invariant ? V::load(d + at) : V::from_words(x + at));
        }
      }
      forward_levels<V>(buffer, rows, kColumns, 1, w, 1, 0, q, qinv);
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t k = 0; k < kColumns; k += V::kLanes)
          V::store(d + r * row + c + k, V::load(buffer + r * kColumns + k));
    }
  } else if (!t.conjugate_invariant) {
    for (std::size_t i = 0; i < n; i += V::kLanes) V::store(d + i, V::from_words(x + i));
  }
  constexpr std::size_t square = V::kLanes * V::kLanes;
  for (std::size_t r = 0; r < rows; ++r) {
    forward_levels<V>(d + r * row, row, 1, V::kLanes, w, rows, r, q, qinv);
    for (std::size_t i = 0; i < row; i += square)
      forward_tail<V>(d + r * row + i, x + r * row + i, n, (r * row + i) / square, w, q, qinv);
  }
}

template <class V>
void intt(std::uint64_t* x, const std::uint64_t* src, const NttView& t, std::uint64_t factor) {
  const auto q = V::set1(t.mod.qd), qinv = V::set1(t.mod.qinv);
  const std::size_t n = t.n, row = n < (1u << kRowLog) ? n : (1u << kRowLog), rows = n / row;
  double* d = as_doubles(x);
  const double* w = t.inverse.fp;
  constexpr std::size_t square = V::kLanes * V::kLanes;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < row; i += square)
      inverse_head<V>(src + r * row + i, d + r * row + i, n, (r * row + i) / square, w, q, qinv);
    inverse_levels<V>(d + r * row, row, 1, V::kLanes, w, rows, r, q, qinv);
  }
  // 1/n = -(q - 1)/n modulo q.
  const std::uint64_t ninv = t.mod.q - (t.mod.q - 1) / n;
  const std::uint64_t scale = mul_mod_word(factor, ninv, t.mod.q);
  const auto vs = V::set1(centred(scale, t.mod.q));
  const bool finish = !t.conjugate_invariant;
  if (rows > 1) {
    alignas(64) double buffer[kMaxRows * kColumns];
    for (std::size_t c = 0; c < row; c += kColumns) {
      for (std::size_t r = 0; r < rows; ++r) {
        V::prefetch(d + r * row + c + kColumns);
        for (std::size_t k = 0; k < kColumns; k += V::kLanes)
          V::store(buffer + r * kColumns + k, V::load(d + r * row + c + k));
      }
      inverse_levels<V>(buffer, rows, kColumns, 1, w, 1, 0, q, qinv);
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t k = 0; k < kColumns; k += V::kLanes) {
          const auto v = V::load(buffer + r * kColumns + k);
          const std::size_t at = r * row + c + k;
          if (finish) {
            V::to_words(x + at, canonical<V>(mul_mod<V>(v, vs, q, qinv), q, qinv));
          } else {
            V::store(d + at, v);
          }
        }
      }
    }
  } else if (finish) {
    for (std::size_t i = 0; i < n; i += V::kLanes)
      V::to_words(x + i, canonical<V>(mul_mod<V>(V::load(d + i), vs, q, qinv), q, qinv));
  }
  if (t.conjugate_invariant) {
    const std::uint64_t half = mul_mod_word(scale, (t.mod.q + 1) / 2, t.mod.q);
    unfold<V>(x, t, centred(half, t.mod.q), centred(t.imag, t.mod.q), centred(scale, t.mod.q), q, qinv);
  }
}
