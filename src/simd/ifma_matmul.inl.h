// Matrix and inner products by 52-bit integer multiply-adds (VPMADD52LUQ / VPMADD52HUQ semantics).
//
// A vector type V for this file needs, beside the double operations, kLanes-wide words `U`. Low and high halves of the
// products gather in separate 64-bit words: each term adds less than 2^52, so 4,096 terms fit (chunks have at most 192).

// low + 2^52 high modulo q, in (-0.6 q, 0.6 q), for any 64-bit sums; r52 = 2^52 mod q, centred.
template <class V>
inline typename V::D ifma_fold(typename V::U low, typename V::U high, typename V::D r52, typename V::D q,
                               typename V::D qinv) {
  const auto mask = V::set1_word((1ull << 52) - 1);
  high = V::add_words(high, V::shift_right_52(low));  // < 2^56 + 2^12: operands are below 2^48
  const auto top = V::word_to_double(V::shift_right_52(high));
  const auto middle = V::word_to_double(V::and_words(high, mask));
  const auto bottom = V::word_to_double(V::and_words(low, mask));
  // bottom + 2^52 (middle + 2^52 top), each step reduced.
  const auto m = mul_mod<V>(V::add(middle, mul_mod<V>(top, r52, q, qinv)), r52, q, qinv);
  return reduce<V>(V::add(bottom, m), q, qinv);
}

inline double ifma_r52(const ModulusView& m) { return centred((1ull << 52) % m.q, m.q); }

template <class V>
void ifma_inner_product(std::uint64_t* acc0, std::uint64_t* acc1, const std::uint64_t* const* x,
                        const std::uint64_t* const* k0, const std::uint64_t* const* k1, std::size_t terms,
                        std::size_t n, const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv), r52 = V::set1(ifma_r52(m));
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    auto l0 = V::set1_word(0), h0 = l0, l1 = l0, h1 = l0;
    for (std::size_t t = 0; t < terms; ++t) {
      const auto v = V::load_words(x[t] + i), a = V::load_words(k0[t] + i), b = V::load_words(k1[t] + i);
      l0 = V::madd_low(l0, v, a);
      h0 = V::madd_high(h0, v, a);
      l1 = V::madd_low(l1, v, b);
      h1 = V::madd_high(h1, v, b);
    }
    V::to_words(acc0 + i, V::add_if_negative(ifma_fold<V>(l0, h0, r52, q, qinv), q));
    V::to_words(acc1 + i, V::add_if_negative(ifma_fold<V>(l1, h1, r52, q, qinv), q));
  }
}

inline constexpr std::size_t kIfmaPanel = 3072;  // words of the source panel, 24 KiB
inline constexpr std::size_t kIfmaRows = 4, kIfmaVectors = 2;
inline constexpr double kIfmaOffset = 0x1p47;  // makes centred sources positive

template <class V, std::size_t R>
inline void ifma_tile(const std::uint64_t* x, std::size_t panel, std::size_t cols, const std::uint64_t* w,
                      std::size_t stride, double* total, const ModulusView* const* mod) {
  constexpr std::size_t C = kIfmaVectors;
  typename V::U low[R][C], high[R][C];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) low[r][v] = high[r][v] = V::set1_word(0);
  for (std::size_t c = 0; c < cols; ++c) {
    typename V::U in[C];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) in[v] = V::load_words(x + c * panel + v * V::kLanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const auto weight = V::set1_word(w[r * stride + c]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < C; ++v) {
        low[r][v] = V::madd_low(low[r][v], in[v], weight);
        high[r][v] = V::madd_high(high[r][v], in[v], weight);
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const auto q = V::set1(mod[r]->qd), qinv = V::set1(mod[r]->qinv), r52 = V::set1(ifma_r52(*mod[r]));
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) {
      double* out = total + r * panel + v * V::kLanes;
      V::store(out, V::add(V::load(out), ifma_fold<V>(low[r][v], high[r][v], r52, q, qinv)));
    }
  }
}

// Sources enter as centred x + 2^47, weights as words in [0, q); each row is corrected by -2^47 * (sum of its weights).
template <class V>
void ifma_matmul(const MatmulArgs& g) {
  constexpr std::size_t tile = kIfmaVectors * V::kLanes, kMaxRowBlock = 64, kMaxPanel = 128;
  const std::size_t inputs = g.cols + (g.exact ? 1 : 0);
  std::size_t panel = tile;
  while (2 * panel * inputs <= kIfmaPanel && 2 * panel <= kMaxPanel) panel *= 2;
  while (panel > tile && g.length % panel != 0) panel /= 2;
  const std::size_t chunk = kIfmaPanel / panel;
  alignas(64) std::uint64_t x[kIfmaPanel];
  alignas(64) std::uint64_t w[kIfmaRows * (kIfmaPanel / tile)];
  alignas(64) double total[kMaxRowBlock * kMaxPanel];
  const auto offset = V::set1(kIfmaOffset);
  for (std::size_t r0 = 0; r0 < g.rows; r0 += kMaxRowBlock) {
    const std::size_t rows = kMaxRowBlock < g.rows - r0 ? kMaxRowBlock : g.rows - r0;
    double correction[kMaxRowBlock];
    for (std::size_t r = 0; r < rows; ++r) {
      const ModulusView& m = *g.dst_mod[r0 + r];
      std::uint64_t sum = 0;
      for (std::size_t c = 0; c < inputs; ++c) {
        const double value = g.weight[(r0 + r) * g.stride + c];
        sum += static_cast<std::uint64_t>(value < 0 ? value + m.qd : value);  // < 2^48 each, at most 2^16 of them
      }
      correction[r] = -centred(mul_mod_word(sum % m.q, (1ull << 47) % m.q, m.q), m.q);
    }
    for (std::size_t j0 = 0; j0 < g.length; j0 += panel) {
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t k = 0; k < panel; k += V::kLanes) V::store(total + r * panel + k, V::set1(correction[r]));
      for (std::size_t c0 = 0; c0 < inputs; c0 += chunk) {
        const std::size_t cols = chunk < inputs - c0 ? chunk : inputs - c0;
        const bool overshoot = g.exact && c0 + cols == inputs;
        const std::size_t plain = overshoot ? cols - 1 : cols;
        double* centred_x = as_doubles(x);
        for (std::size_t c = 0; c < plain; ++c) {
          const ModulusView& m = *g.src_mod[c0 + c];
          const std::uint64_t* in = g.src[c0 + c] + j0;
          const auto q = V::set1(m.qd), half = V::set1(static_cast<double>(m.q / 2));
          for (std::size_t k = 0; k < panel; k += V::kLanes)
            V::store(centred_x + c * panel + k, V::centre(V::from_words(in + k), q, half));
        }
        if (overshoot) {
          for (std::size_t k = 0; k < panel; k += V::kLanes) {
            auto e = V::set1(0.0);
            for (std::size_t c = 0; c < plain; ++c)
              e = V::fma(V::load(centred_x + c * panel + k), V::set1(g.src_mod[c]->qinv), e);
            V::store(centred_x + plain * panel + k, V::round(e));
          }
        }
        for (std::size_t k = 0; k < cols * panel; k += V::kLanes)
          V::to_words(x + k, V::add(V::load(centred_x + k), offset));
        for (std::size_t r = 0; r < rows;) {
          const std::size_t step = rows - r >= kIfmaRows ? kIfmaRows : 1;
          for (std::size_t i = 0; i < step; ++i) {
            const double* row = g.weight + (r0 + r + i) * g.stride + c0;
            const double q = g.dst_mod[r0 + r + i]->qd;
            for (std::size_t c = 0; c < cols; ++c)
              w[i * chunk + c] = static_cast<std::uint64_t>(static_cast<std::int64_t>(row[c] < 0 ? row[c] + q : row[c]));
          }
          for (std::size_t k = 0; k < panel; k += tile) {
            if (step == kIfmaRows) {
              ifma_tile<V, kIfmaRows>(x + k, panel, cols, w, chunk, total + r * panel + k, g.dst_mod + r0 + r);
            } else {
              ifma_tile<V, 1>(x + k, panel, cols, w, chunk, total + r * panel + k, g.dst_mod + r0 + r);
            }
          }
          r += step;
        }
      }
      for (std::size_t r = 0; r < rows; ++r) {
        const ModulusView& m = *g.dst_mod[r0 + r];
        const auto q = V::set1(m.qd), qinv = V::set1(m.qinv);
        for (std::size_t k = 0; k < panel; k += V::kLanes)
          V::to_words(g.dst[r0 + r] + j0 + k, canonical<V>(V::load(total + r * panel + k), q, qinv));
      }
    }
  }
}
