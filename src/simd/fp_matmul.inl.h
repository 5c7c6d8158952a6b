// The modular matrix product on doubles: sources are packed as centred doubles into panels that stay in the first-level
// cache; each inner kernel computes kTileRows rows by kTileVectors vectors with error-free accumulators.

inline constexpr std::size_t kPanelDoubles = 3072;  // 24 KiB
inline constexpr std::size_t kPackedAhead = 512;    // how far ahead of use, in words, packed sources are asked for

// sum over `cols` panel columns for R rows and C vectors, added to total (row stride `panel`), which is within q of
// zero then: so few columns fit a panel that totals stay below 11 q meanwhile.
template <class V, std::size_t R, std::size_t C>
inline void matmul_tile(const double* x, std::size_t panel, std::size_t cols, const double* w, std::size_t stride,
                        double* total, const ModulusView* const* mod) {
  using D = typename V::D;
  for (std::size_t c0 = 0; c0 < cols; c0 += kBlock) {
    const std::size_t c1 = c0 + kBlock < cols ? c0 + kBlock : cols;
    Accumulator<V> acc[R][C];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < C; ++v) acc[r][v].reset();
    for (std::size_t c = c0; c < c1; ++c) {
      D in[C];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < C; ++v) in[v] = V::load(x + c * panel + v * V::kLanes);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
        const D weight = V::set1(w[r * stride + c]);
#pragma GCC unroll 8
        for (std::size_t v = 0; v < C; ++v) acc[r][v].multiply_add(in[v], weight);
      }
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const D q = V::set1(mod[r]->qd), qinv = V::set1(mod[r]->qinv);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < C; ++v) {
        double* out = total + r * panel + v * V::kLanes;
        const D sum = V::add(V::load(out), acc[r][v].fold(q, qinv));
        V::store(out, c1 == cols ? reduce<V>(sum, q, qinv) : sum);
      }
    }
  }
}

template <class V>
void matmul(const MatmulArgs& g) {
  if (g.sets > 1) {
    for (std::size_t k = 0; k < g.sets; ++k) matmul<V>(g.set(k));
    return;
  }
  using D = typename V::D;
  constexpr std::size_t C = V::kTileVectors, R = V::kTileRows, tile = C * V::kLanes;
  constexpr std::size_t kMaxRowBlock = 64;
  const std::size_t inputs = g.cols + (g.exact ? 1 : 0);
  // Words per panel: as many as fit the panel, at least one tile; columns beyond that go in chunks.
  std::size_t panel = tile;
  while (2 * panel * inputs <= kPanelDoubles && 2 * panel <= 128) panel *= 2;
  while (panel > tile && g.length % panel != 0) panel /= 2;
  const std::size_t chunk = kPanelDoubles / panel;
  alignas(64) double x[kPanelDoubles];
  alignas(64) double total[kMaxRowBlock * 128];
  for (std::size_t j0 = 0; j0 < g.length; j0 += panel) {
    for (std::size_t r0 = 0; r0 < g.rows; r0 += kMaxRowBlock) {
      const std::size_t rows = kMaxRowBlock < g.rows - r0 ? kMaxRowBlock : g.rows - r0;
      for (std::size_t r = 0; r < rows; ++r) {
        const D constant = V::set1(g.start == SumStart::constant ? g.weight[(r0 + r) * g.stride + g.cols] : 0.0);
        for (std::size_t k = 0; k < panel; k += V::kLanes)
          V::store(total + r * panel + k,
                   g.start == SumStart::present ? V::from_words(g.dst[r0 + r] + j0 + k) : constant);
      }
      for (std::size_t c0 = 0; c0 < inputs; c0 += chunk) {
        const std::size_t cols = chunk < inputs - c0 ? chunk : inputs - c0;
        const bool overshoot = g.exact && c0 + cols == inputs;
        const std::size_t plain = overshoot ? cols - 1 : cols;
        for (std::size_t c = 0; c < plain; ++c) {
          const ModulusView& m = *g.src_mod[c0 + c];
          const D q = V::set1(m.qd), half = V::set1((m.qd - 1) / 2);
          for (std::size_t k = 0; k < panel; k += V::kLanes) {
            if (g.packed != nullptr) V::prefetch(g.packed[c0 + c] + kPackedBytes * (j0 + k + kPackedAhead));
            const D word = g.packed != nullptr ? V::from_packed(g.packed[c0 + c] + kPackedBytes * (j0 + k))
                                               : V::from_words(g.src[c0 + c] + j0 + k);
            V::store(x + c * panel + k, V::centre(word, q, half));
          }
        }
        if (overshoot) {
          for (std::size_t k = 0; k < panel; k += V::kLanes) {
            D e = V::set1(0.0);
            for (std::size_t c = 0; c < plain; ++c)
              e = V::fma(V::load(x + c * panel + k), V::set1(g.src_mod[c]->qinv), e);
            V::store(x + plain * panel + k, V::round(e));
          }
        }
        for (std::size_t r = 0; r < rows;) {
          const double* w = g.weight + (r0 + r) * g.stride + c0;
          const std::size_t step = rows - r >= R ? R : 1;
          for (std::size_t k = 0; k < panel; k += tile) {
            if (step == R) {
              matmul_tile<V, R, C>(x + k, panel, cols, w, g.stride, total + r * panel + k, g.dst_mod + r0 + r);
            } else {
              matmul_tile<V, 1, C>(x + k, panel, cols, w, g.stride, total + r * panel + k, g.dst_mod + r0 + r);
            }
          }
          r += step;
        }
      }
      for (std::size_t r = 0; r < rows; ++r) {
        const ModulusView& m = *g.dst_mod[r0 + r];
        const D q = V::set1(m.qd), qinv = V::set1(m.qinv);
        for (std::size_t k = 0; k < panel; k += V::kLanes)
          V::to_words(g.dst[r0 + r] + j0 + k, canonical<V>(V::load(total + r * panel + k), q, qinv));
      }
    }
  }
}
