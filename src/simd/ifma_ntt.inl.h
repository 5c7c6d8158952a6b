// Number-theoretic transforms with 52-bit integer multiply-adds; see ifma_core.inl.h for the number format
// and ifma_butterfly.inl.h for the growth of values. Order of work: [fold with the first level], columns of a matrix
// with rows of 256 words, then the rows, the last six levels of which stay in registers.

inline constexpr std::size_t kIfmaRow = 256, kIfmaMaxRows = 512;
// How far ahead of use, in words, the source of an inverse transform and the tables are asked for.
inline constexpr std::size_t kIfmaSourceAhead = 512, kIfmaTableAhead = 128;

// K levels over `groups` groups of 2^K rows that lie `quarter` rows apart, from src to dst (which may be the same). Row
// strides in words; every row is `width` words, a multiple of two vectors.
template <class V, std::size_t K, bool Inverse>
inline void ifma_stage(const std::uint64_t* src, std::size_t src_stride, std::uint64_t* dst, std::size_t dst_stride,
                       std::size_t width, std::size_t groups, std::size_t quarter, const std::uint64_t* w,
                       std::size_t node, bool reduce, const IfmaModulus<V>& m) {
  constexpr std::size_t R = std::size_t{1} << K, S = kIfmaSets, L = V::kLanes;
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t j = 0; j < quarter; ++j) {
      const std::size_t row = g * R * quarter + j;
      for (std::size_t k = 0; k < width; k += S * L) {
        typename V::U r[S][R];
#pragma GCC unroll 8
        for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 2
          for (std::size_t s = 0; s < S; ++s)
            r[s][i] = V::load_words(src + (row + i * quarter) * src_stride + k + s * L);
        if constexpr (Inverse) {
          ifma_inverse_registers<V, K, S>(r, w, node + g, 0, m);
        } else {
          if (reduce) ifma_reduce_first_half<V, R, S>(r, m);
          ifma_forward_registers<V, K, S>(r, w, node + g, 0, m);
        }
#pragma GCC unroll 8
        for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 2
          for (std::size_t s = 0; s < S; ++s)
            V::store_words(dst + (row + i * quarter) * dst_stride + k + s * L, r[s][i]);
      }
    }
  }
}

// A stage chosen at run time.
template <class V, bool Inverse>
inline void ifma_stage(std::size_t levels, const std::uint64_t* src, std::size_t src_stride, std::uint64_t* dst,
                       std::size_t dst_stride, std::size_t width, std::size_t groups, std::size_t quarter,
                       const std::uint64_t* w, std::size_t node, bool reduce, const IfmaModulus<V>& m) {
  if (levels == 1)
    ifma_stage<V, 1, Inverse>(src, src_stride, dst, dst_stride, width, groups, quarter, w, node, reduce, m);
  if (levels == 2)
    ifma_stage<V, 2, Inverse>(src, src_stride, dst, dst_stride, width, groups, quarter, w, node, reduce, m);
  if (levels == 3)
    ifma_stage<V, 3, Inverse>(src, src_stride, dst, dst_stride, width, groups, quarter, w, node, reduce, m);
}

// How `levels` levels are cut into stages of at most three.
inline std::size_t ifma_stage_levels(std::size_t left) { return left == 4 ? 2 : left > 3 ? 3 : left; }

// The last six levels of S blocks of 64 words: three across vectors, three inside (transposed, one group per lane).
template <class V, std::size_t S>
inline void ifma_forward_tail(std::uint64_t* x, std::size_t n, std::size_t block, const TwiddleView& t, bool reduce,
                              const IfmaModulus<V>& m) {
  constexpr std::size_t L = V::kLanes;
  const std::uint64_t *w = t.value, *last = w + n / 4 + block * L;
  for (std::size_t s = 0; s < S; ++s)
    for (std::size_t k = 0; k < 3; ++k) V::prefetch_far(last + k * (n / L) + s * L + kIfmaTableAhead);
  typename V::U r[S][L];
#pragma GCC unroll 2
  for (std::size_t s = 0; s < S; ++s)
#pragma GCC unroll 8
    for (std::size_t i = 0; i < L; ++i) r[s][i] = V::load_words(x + s * kIfmaBlock + i * L);
  if (reduce) ifma_reduce_first_half<V, L, S>(r, m);
  ifma_forward_registers<V, 3, S>(r, w, n / kIfmaBlock + block, 1, m);
#pragma GCC unroll 2
  for (std::size_t s = 0; s < S; ++s) V::transpose_words(r[s]);
  ifma_reduce_first_half<V, L, S>(r, m);
#pragma GCC unroll 3
  for (std::size_t sets = 1; sets < L; sets *= 2) {
    const std::size_t half = L / (2 * sets);
    typename V::U shoup[S], word[S];
#pragma GCC unroll 2
    for (std::size_t s = 0; s < S; ++s) {
      shoup[s] = V::load_words(last + s * L);
      word[s] = ifma_word_of<V>(shoup[s], m);
    }
#pragma GCC unroll 4
    for (std::size_t g = 0; g < sets; ++g)
#pragma GCC unroll 4
      for (std::size_t j = 0; j < half; ++j)
#pragma GCC unroll 2
        for (std::size_t s = 0; s < S; ++s) {
          auto& b = r[s][(2 * g + 1) * half + j];
          if (g > 0) b = ifma_mul<V>(b, V::set1_word(t.turn[g - 1]), V::set1_word(t.turn_shoup[g - 1]), m.minus_q);
          ifma_butterfly<V>(r[s][2 * g * half + j], b, word[s], shoup[s], m);
        }
    last += n / L;
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < L; ++i)
#pragma GCC unroll 2
    for (std::size_t s = 0; s < S; ++s) r[s][i] = ifma_canonical<V>(r[s][i], m);
#pragma GCC unroll 2
  for (std::size_t s = 0; s < S; ++s) {
    V::transpose_words(r[s]);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < L; ++i) V::store_words(x + s * kIfmaBlock + i * L, r[s][i]);
  }
}

template <class V, std::size_t S>
inline void ifma_inverse_head(std::uint64_t* x, const std::uint64_t* src, std::size_t n, std::size_t block,
                              const TwiddleView& t, const IfmaModulus<V>& m) {
  constexpr std::size_t L = V::kLanes;
  const std::uint64_t *w = t.value, *last = w + n / 2 + block * L;
  for (std::size_t i = 0; i < S * L; ++i) V::prefetch_far(src + kIfmaSourceAhead + i * L);
  for (std::size_t s = 0; s < S; ++s)
    for (std::size_t k = 0; k < 3; ++k) V::prefetch_far(last - k * (n / L) + s * L + kIfmaTableAhead);
  typename V::U r[S][L];
#pragma GCC unroll 2
  for (std::size_t s = 0; s < S; ++s) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < L; ++i) r[s][i] = V::load_words(src + s * kIfmaBlock + i * L);
    V::transpose_words(r[s]);
  }
  auto bound = m.q2;
#pragma GCC unroll 3
  for (std::size_t sets = L / 2; sets >= 1; sets /= 2) {
    const std::size_t half = L / (2 * sets);
    typename V::U shoup[S], word[S];
#pragma GCC unroll 2
    for (std::size_t s = 0; s < S; ++s) {
      shoup[s] = V::load_words(last + s * L);
      word[s] = ifma_word_of<V>(shoup[s], m);
    }
#pragma GCC unroll 4
    for (std::size_t g = 0; g < sets; ++g)
#pragma GCC unroll 4
      for (std::size_t j = 0; j < half; ++j)
#pragma GCC unroll 2
        for (std::size_t s = 0; s < S; ++s) {
          auto& b = r[s][(2 * g + 1) * half + j];
          ifma_inverse_butterfly<V>(r[s][2 * g * half + j], b, word[s], shoup[s], bound, m);
          if (g > 0) b = ifma_mul<V>(b, V::set1_word(t.turn[g - 1]), V::set1_word(t.turn_shoup[g - 1]), m.minus_q);
        }
    bound = V::add_words(bound, bound);
    last -= n / L;
  }
  ifma_reduce_first_half<V, L, S>(r, m);
#pragma GCC unroll 2
  for (std::size_t s = 0; s < S; ++s) V::transpose_words(r[s]);
  ifma_inverse_registers<V, 3, S>(r, w, n / kIfmaBlock + block, 1, m);
#pragma GCC unroll 2
  for (std::size_t s = 0; s < S; ++s)
#pragma GCC unroll 8
    for (std::size_t i = 0; i < L; ++i) V::store_words(x + s * kIfmaBlock + i * L, r[s][i]);
}

// Rows, columns and twiddle node of a part of a transform; levels above the last six are cut into columns and row
// stages.
struct IfmaShape {
  std::size_t row, rows;

  explicit inline IfmaShape(std::size_t size) : row(size >= 16 * kIfmaRow ? kIfmaRow : size), rows(size / row) {}
};

inline std::size_t log2_of(std::size_t x) { return static_cast<std::size_t>(__builtin_ctzll(x)); }

// The transform of `size` words below node `node`, whose values are below bound q. `first`: number of 64-word blocks
// before.
template <class V>
inline void ifma_forward_part(std::uint64_t* x, std::size_t size, std::size_t node, std::size_t bound, const NttView& t,
                              const IfmaModulus<V>& m) {
  const std::uint64_t* w = t.forward.value;
  const IfmaShape shape(size);
  const auto grow = [](std::size_t& b, std::size_t levels) {  // whether the values must be reduced first
    const bool reduce = b + 2 * levels > 16;
    b = (reduce ? 2 : b) + 2 * levels;
    return reduce;
  };
  if (shape.rows > 1) {
    constexpr std::size_t columns = kIfmaSets * V::kLanes;
    alignas(64) std::uint64_t buffer[kIfmaMaxRows * columns];
    std::size_t after = bound;
    for (std::size_t c = 0; c < shape.row; c += columns) {
      std::size_t b = bound, done = 0;
      const std::size_t levels = log2_of(shape.rows);
      for (std::size_t r = 0; r < shape.rows; ++r) V::prefetch2(x + r * shape.row + c + columns);
      while (done < levels) {
        const std::size_t k = ifma_stage_levels(levels - done);
        const bool first = done == 0, last = done + k == levels, reduce = grow(b, k);
        ifma_stage<V, false>(k, first ? x + c : buffer, first ? shape.row : columns, last ? x + c : buffer,
                             last ? shape.row : columns, columns, std::size_t{1} << done, shape.rows >> (done + k), w,
                             node << done, reduce, m);
        done += k;
      }
      after = b;
    }
    bound = after;
  }
  for (std::size_t r = 0; r < shape.rows; ++r) {
    std::uint64_t* p = x + r * shape.row;
    const std::size_t row_node = node * shape.rows + r, levels = log2_of(shape.row / kIfmaBlock);
    std::size_t b = bound;
    for (std::size_t done = 0; done < levels;) {
      const std::size_t k = ifma_stage_levels(levels - done), width = shape.row >> (done + k);
      const bool reduce = grow(b, k);
      ifma_stage<V, false>(k, p, width, p, width, width, std::size_t{1} << done, 1, w, row_node << done, reduce, m);
      done += k;
    }
    const bool reduce = b + 6 > 16;
    const std::size_t blocks = shape.row / kIfmaBlock, first = row_node * blocks - t.n / kIfmaBlock;
    if (blocks == 1) ifma_forward_tail<V, 1>(p, t.n, first, t.forward, reduce, m);
    for (std::size_t i = 0; i + kIfmaSets <= blocks; i += kIfmaSets)
      ifma_forward_tail<V, kIfmaSets>(p + i * kIfmaBlock, t.n, first + i, t.forward, reduce, m);
  }
}

// The inverse; values come out below 2 q.
template <class V>
inline void ifma_inverse_part(std::uint64_t* x, const std::uint64_t* src, std::size_t size, std::size_t node,
                              const NttView& t, const IfmaModulus<V>& m) {
  const std::uint64_t* w = t.inverse.value;
  const IfmaShape shape(size);
  for (std::size_t r = 0; r < shape.rows; ++r) {
    std::uint64_t* p = x + r * shape.row;
    const std::size_t row_node = node * shape.rows + r;
    const std::size_t blocks = shape.row / kIfmaBlock, first = row_node * blocks - t.n / kIfmaBlock;
    const std::uint64_t* from = src + r * shape.row;
    if (blocks == 1) ifma_inverse_head<V, 1>(p, from, t.n, first, t.inverse, m);
    for (std::size_t i = 0; i + kIfmaSets <= blocks; i += kIfmaSets)
      ifma_inverse_head<V, kIfmaSets>(p + i * kIfmaBlock, from + i * kIfmaBlock, t.n, first + i, t.inverse, m);
    for (std::size_t left = log2_of(blocks); left > 0;) {
      const std::size_t k = ifma_stage_levels(left), width = shape.row >> left;
      left -= k;
      ifma_stage<V, true>(k, p, width, p, width, width, std::size_t{1} << left, 1, w, row_node << left, false, m);
    }
  }
  if (shape.rows > 1) {
    constexpr std::size_t columns = kIfmaSets * V::kLanes;
    alignas(64) std::uint64_t buffer[kIfmaMaxRows * columns];
    const std::size_t levels = log2_of(shape.rows);
    for (std::size_t c = 0; c < shape.row; c += columns) {
      for (std::size_t r = 0; r < shape.rows; ++r) V::prefetch2(x + r * shape.row + c + columns);
      for (std::size_t left = levels; left > 0;) {
        const std::size_t k = ifma_stage_levels(left);
        const bool first = left == levels, last = left == k;
        left -= k;
        ifma_stage<V, true>(k, first ? x + c : buffer, first ? shape.row : columns, last ? x + c : buffer,
                            last ? shape.row : columns, columns, std::size_t{1} << left, shape.rows >> (left + k), w,
                            node << left, false, m);
      }
    }
  }
}

template <class V>
void ifma_ntt(std::uint64_t* x, const NttView& t) {
  const IfmaModulus<V> m(t.mod);
  if (!t.conjugate_invariant) return ifma_forward_part<V>(x, t.n, 1, 1, t, m);
  if (t.n == kIfmaBlock) {
    ifma_fold_short(x, t, false, 1);
    return ifma_forward_part<V>(x, t.n, 1, 2, t, m);
  }
  ifma_fold_first_level<V>(x, t, m);
  for (std::size_t part = 0; part < 2; ++part) ifma_forward_part<V>(x + part * t.n / 2, t.n / 2, 2 + part, 5, t, m);
}

template <class V>
void ifma_intt(std::uint64_t* x, const std::uint64_t* src, const NttView& t, std::uint64_t factor) {
  const IfmaModulus<V> m(t.mod);
  // 1/n = -(q - 1)/n modulo q.
  const std::uint64_t scale = mul_mod_word(factor, t.mod.q - (t.mod.q - 1) / t.n, t.mod.q);
  if (t.conjugate_invariant && t.n == kIfmaBlock) {
    ifma_inverse_part<V>(x, src, t.n, 1, t, m);
    return ifma_fold_short(x, t, true, scale);
  }
  if (t.conjugate_invariant) {
    for (std::size_t part = 0; part < 2; ++part)
      ifma_inverse_part<V>(x + part * t.n / 2, src + part * t.n / 2, t.n / 2, 2 + part, t, m);
    return ifma_last_level_unfold<V>(x, t, scale, m);
  }
  ifma_inverse_part<V>(x, src, t.n, 1, t, m);
  const auto s = V::set1_word(scale), shoup = V::set1_word(IfmaModulus<V>::shoup_of(scale, t.mod.q));
  for (std::size_t i = 0; i < t.n; i += V::kLanes) {
    const auto r = V::and_words(ifma_mul<V>(V::load_words(x + i), s, shoup, m.minus_q), m.mask);
    V::store_words(x + i, V::min_words(r, V::sub_words(r, m.q)));
  }
}
