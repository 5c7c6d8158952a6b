// Modular matrix products by 52-bit integer multiply-adds.
//
// Low and high halves of the products gather in separate 64-bit words: a term adds less than 2^52 to the low and 2^44
// to the high one, so 2,048 terms pass between foldings. As in any matrix product for caches, sources are packed into
// panels of 16 words a column and weights are converted once, so that the inner loop reads both front to
// back.

inline constexpr std::size_t kIfmaVectors = 2;          // in a tile, by four rows unless five are left
inline constexpr std::size_t kIfmaChunk = 512;          // columns between foldings, and in a packed panel
inline constexpr std::size_t kIfmaPackWords = 1 << 15;  // packed sources, 256 KiB: they stay in the second-level cache
inline constexpr std::size_t kIfmaPanel = 128;          // words of a column in a panel: few columns fit the first level
inline constexpr std::size_t kIfmaFewRows = 4;          // that need no panels
inline constexpr std::size_t kIfmaFewRowsAhead = 512;   // how far ahead of use, in words, their sources are asked for
inline constexpr std::uint64_t kIfmaOffset = std::uint64_t{1} << 47;  // makes centred sources positive

// Adds the products of one column's words with the weights of R rows, which lie `stride` apart.
template <class V, std::size_t R, std::size_t C>
[[gnu::always_inline]] inline void ifma_add_column(typename V::U (&low)[R][C], typename V::U (&high)[R][C],
                                                   const typename V::U (&in)[C], const std::uint64_t* w,
                                                   std::size_t stride) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const auto weight = V::set1_word(w[r * stride]);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) {
      low[r][v] = V::madd_low(low[r][v], in[v], weight);
      high[r][v] = V::madd_high(high[r][v], in[v], weight);
    }
  }
}

template <class V, std::size_t R>
inline void ifma_tile(const std::uint64_t* x, std::size_t cols, const std::uint64_t* w, std::uint64_t* const* dst,
                      std::size_t at, bool accumulate, const std::uint64_t* start, const ModulusView* const* mod) {
  constexpr std::size_t C = kIfmaVectors;
  typename V::U low[R][C], high[R][C];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) {
      low[r][v] = accumulate ? V::load_words(dst[r] + at + v * V::kLanes) : V::set1_word(start[r]);
      high[r][v] = V::set1_word(0);
    }
  for (std::size_t c = 0; c < cols; ++c) {
    typename V::U in[C];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) in[v] = V::load_words(x + (c * C + v) * V::kLanes);
    ifma_add_column<V, R, C>(low, high, in, w + c, cols);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const IfmaModulus<V> m(*mod[r]);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v)
      V::store_words(dst[r] + at + v * V::kLanes, ifma_fold<V>(low[r][v], high[r][v], m));
  }
}

// Packs words [j0, j0 + words) of columns [c0, c0 + cols): tiles of 16 words, columns inside.
template <class V>
inline void ifma_pack(const MatmulArgs& g, bool plain, std::size_t c0, std::size_t cols, std::size_t j0,
                      std::size_t words, std::uint64_t* out) {
  constexpr std::size_t tile = kIfmaVectors * V::kLanes;
  const auto offset = V::set1_word(kIfmaOffset);
  for (std::size_t c = 0; c < cols; ++c) {
    if (c0 + c == g.cols) continue;  // the overshoot row is packed below
    const std::uint64_t* in = g.packed == nullptr ? g.src[c0 + c] + j0 : nullptr;
    const unsigned char* packed = g.packed == nullptr ? nullptr : g.packed[c0 + c] + kPackedBytes * j0;
    const auto q = V::set1_word(g.src_mod[c0 + c]->q), half = V::set1_word(g.src_mod[c0 + c]->q / 2);
    for (std::size_t k = 0; k < words; k += V::kLanes) {
      // The next panel arrives while this one is multiplied.
      if (packed != nullptr)
        V::prefetch_far(packed + kPackedBytes * (k + words));
      else
        V::prefetch_far(in + k + words);
      const auto x = packed != nullptr ? V::load_packed(packed + kPackedBytes * k) : V::load_words(in + k);
      V::store_words(out + k / tile * tile * cols + c * tile + k % tile,
                     plain ? x : V::sub_if_above(V::add_words(x, offset), x, half, q));
    }
  }
  if (c0 + cols <= g.cols) return;
  for (std::size_t k = 0; k < words; k += V::kLanes) {
    auto e = V::set1(0.0);
    for (std::size_t c = 0; c < g.cols; ++c) {
      const ModulusView& m = *g.src_mod[c];
      const auto x = V::centre(V::from_words(g.src[c] + j0 + k), V::set1(m.qd), V::set1((m.qd - 1) / 2));
      e = V::fma(x, V::set1(m.qinv), e);
    }
    V::to_words(out + k / tile * tile * cols + (cols - 1) * tile + k % tile,
                V::add(V::round(e), V::set1(static_cast<double>(kIfmaOffset))));
  }
}

// Packs the weights of rows [r, r + rows) in columns [c0, c0 + cols), row by row. `start`
// gets what corrects the offset of the sources in each row: -2^47 * (sum of the row's weights), or 0 for plain sources.
template <class V>
inline void ifma_pack_weights(const MatmulArgs& g, bool plain, std::size_t r, std::size_t rows, std::size_t c0,
                              std::size_t cols, std::uint64_t* out, std::uint64_t* start) {
  for (std::size_t i = 0; i < rows; ++i) {
    const ModulusView& m = *g.dst_mod[r + i];
    const double* row = g.weight + (r + i) * g.stride + c0;
    std::uint64_t* words = out + i * cols;
    const auto q = V::set1_word(m.q);
    std::size_t c = 0;
    for (; c + V::kLanes <= cols; c += V::kLanes) {
      const auto w = V::to_word_bits(V::add(V::load_unaligned(row + c), V::set1(m.qd)));  // q / 2 .. 3 q / 2
      V::store_words_unaligned(words + c, V::min_words(w, V::sub_words(w, q)));
    }
    for (; c < cols; ++c) words[c] = residue_of_centred(row[c], m.q);
    start[i] = 0;
    if (plain) continue;
    std::uint64_t sum = 0;
    for (c = 0; c < cols; ++c) sum += words[c];
    start[i] = m.q - mul_mod_word(sum % m.q, kIfmaOffset % m.q, m.q);
  }
}

// Rows of the tile that begins at row r.
inline std::size_t ifma_rows_at(const MatmulArgs& g, std::size_t r) {
  const std::size_t left = g.rows - r;
  return left == 5 ? 5 : left < 4 ? left : 4;
}

// The products of columns [c0, c0 + cols), `panel` words at a time: all rows read the packed sources.
template <class V>
inline void ifma_panels(const MatmulArgs& g, bool plain, std::size_t c0, std::size_t cols, std::size_t panel,
                        const std::uint64_t* weights, bool accumulate, const std::uint64_t* start,
                        std::uint64_t* pack) {
  constexpr std::size_t tile = kIfmaVectors * V::kLanes;
  for (std::size_t j0 = 0; j0 < g.length; j0 += panel) {
    const std::size_t words = panel < g.length - j0 ? panel : g.length - j0;
    ifma_pack<V>(g, plain, c0, cols, j0, words, pack);
    for (std::size_t r = 0; r < g.rows; r += ifma_rows_at(g, r)) {
      const std::size_t step = ifma_rows_at(g, r);
      // With `accumulate` the destination takes the place of the start value: add the correction to it here.
      if (accumulate && !plain)
        for (std::size_t i = 0; i < step; ++i)
          for (std::size_t k = 0; k < words; ++k) g.dst[r + i][j0 + k] += start[r + i];
      const auto tile_of = step == 5   ? ifma_tile<V, 5>
                           : step == 4 ? ifma_tile<V, 4>
                           : step == 3 ? ifma_tile<V, 3>
                           : step == 2 ? ifma_tile<V, 2>
                                       : ifma_tile<V, 1>;
      for (std::size_t k = 0; k < words; k += tile)
        tile_of(pack + k * cols, cols, weights + r * cols, g.dst + r, j0 + k, accumulate, start + r, g.dst_mod + r);
    }
  }
}

// C vectors of all R rows at word j: packed sources go from memory through registers to the sums.
template <class V, std::size_t R, std::size_t C>
inline void ifma_few_rows_at(const MatmulArgs& g, std::size_t c0, std::size_t cols, const std::uint64_t* w,
                             bool accumulate, const std::uint64_t* start, const IfmaModulus<V>& m, std::size_t j) {
  typename V::U low[R][C], high[R][C];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) {
      low[r][v] = accumulate ? V::load_words(g.dst[r] + j + v * V::kLanes) : V::set1_word(start[r]);
      high[r][v] = V::set1_word(0);
    }
  for (std::size_t c = 0; c < cols; ++c) {
    const unsigned char* x = g.packed[c0 + c] + kPackedBytes * j;
#pragma GCC unroll 8
    for (std::size_t b = 0; b < kPackedBytes * V::kLanes * C; b += 64)
      V::prefetch_far(x + kPackedBytes * kIfmaFewRowsAhead + b);
    typename V::U in[C];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v) in[v] = V::load_packed(x + kPackedBytes * V::kLanes * v);
    ifma_add_column<V, R, C>(low, high, in, w + c, cols);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < C; ++v)
      V::store_words(g.dst[r] + j + v * V::kLanes, ifma_fold<V>(low[r][v], high[r][v], m));
}

// The products of columns [c0, c0 + cols) without panels, for so few rows that packing would take longer than
// multiplying.
template <class V, std::size_t R>
inline void ifma_few_rows(const MatmulArgs& g, std::size_t c0, std::size_t cols, const std::uint64_t* weights,
                          bool accumulate, const std::uint64_t* start) {
  constexpr std::size_t C = R <= 2 ? 4 : 2;
  const IfmaModulus<V> m(*g.dst_mod[0]);
  std::size_t j = 0;
  for (; j + C * V::kLanes <= g.length; j += C * V::kLanes)
    ifma_few_rows_at<V, R, C>(g, c0, cols, weights, accumulate, start, m, j);
  for (; j < g.length; j += 2 * V::kLanes) ifma_few_rows_at<V, R, 2>(g, c0, cols, weights, accumulate, start, m, j);
}

// The product without columns.
inline void ifma_no_columns(const MatmulArgs& g) {
  if (g.start == SumStart::present) return;
  for (std::size_t k = 0; k < g.sets; ++k) {
    for (std::size_t r = 0; r < g.rows; ++r) {
      const double w = g.start == SumStart::constant && k == 0 ? g.weight[r * g.stride] : 0;
      const std::uint64_t word = residue_of_centred(w, g.dst_mod[r]->q);
      for (std::size_t j = 0; j < g.length; ++j) g.dst[k * g.rows + r][j] = word;
    }
  }
}

template <class V>
void ifma_matmul(const MatmulArgs& g) {
  constexpr std::size_t tile = kIfmaVectors * V::kLanes;
  const std::size_t inputs = g.cols + (g.exact ? 1 : 0);
  const bool plain = !g.exact && same_moduli(g);
  const bool few = plain && g.packed != nullptr && g.rows <= kIfmaFewRows;
  if (inputs == 0) return ifma_no_columns(g);
  thread_local AlignedWords pack(kIfmaPackWords), weights(0), start(0), constant(0);
  start.grow(g.rows);
  constant.grow(g.rows);
  // A chunk after the first adds to what the destinations hold.
  for (std::size_t c0 = 0; c0 < inputs; c0 += kIfmaChunk) {
    const std::size_t cols = kIfmaChunk < inputs - c0 ? kIfmaChunk : inputs - c0;
    std::size_t panel = kIfmaPackWords / cols / tile * tile;
    if (panel > kIfmaPanel) panel = kIfmaPanel;
    if (panel > g.length) panel = g.length;
    weights.grow(g.rows * cols);
    for (std::size_t r = 0; r < g.rows; r += ifma_rows_at(g, r))
      ifma_pack_weights<V>(g, plain, r, ifma_rows_at(g, r), c0, cols, weights.data() + r * cols, start.data() + r);
    const bool accumulate = c0 > 0 || g.start == SumStart::present;
    const bool constants = c0 == 0 && g.start == SumStart::constant;
    for (std::size_t r = 0; constants && r < g.rows; ++r)
      constant.data()[r] = start.data()[r] + residue_of_centred(g.weight[r * g.stride + g.cols], g.dst_mod[r]->q);
    for (std::size_t k = 0; k < g.sets; ++k) {
      const std::uint64_t* begin = constants && k == 0 ? constant.data() : start.data();
      const MatmulArgs set = g.set(k);
      if (few) {
        const auto rows_of = g.rows == 4   ? ifma_few_rows<V, 4>
                             : g.rows == 3 ? ifma_few_rows<V, 3>
                             : g.rows == 2 ? ifma_few_rows<V, 2>
                                           : ifma_few_rows<V, 1>;
        rows_of(set, c0, cols, weights.data(), accumulate, begin);
      } else {
        ifma_panels<V>(set, plain, c0, cols, panel, weights.data(), accumulate, begin, pack.data());
      }
    }
  }
}
