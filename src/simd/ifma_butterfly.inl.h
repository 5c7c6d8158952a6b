// Butterflies of the number-theoretic transforms, and up to three levels of them on vectors in registers.
//
// A butterfly costs three multiply-adds and three additions. Forward, values grow by 2 q per level from 1 q (5 q after
// a fold), so that seven levels pass between reductions. Inverse, sums double and products are below 2 q; every stage
// starts below 2 q and reduces what it summed.

inline constexpr std::size_t kIfmaBlock = 64;  // words of the shortest transform; the last six levels work on one

template <class V>
inline void ifma_butterfly(typename V::U& a, typename V::U& b, typename V::U w, typename V::U shoup,
                           const IfmaModulus<V>& m) {
  const auto quotient = V::madd_high(V::set1_word(0), b, shoup);
  const auto twice = V::add_words(V::add_words(a, m.q2), a);
  a = V::madd_low(V::madd_low(a, b, w), quotient, m.minus_q);
  b = V::sub_words(twice, a);
}

// `bound`: a multiple of q that b cannot exceed.
template <class V>
inline void ifma_inverse_butterfly(typename V::U& a, typename V::U& b, typename V::U w, typename V::U shoup,
                                   typename V::U bound, const IfmaModulus<V>& m) {
  const auto d = V::sub_words(V::add_words(a, bound), b);
  a = V::add_words(a, b);
  b = ifma_mul<V>(d, w, shoup, m.minus_q);
}

// w from its Shoup quotient floor(w 2^52 / q), 0 < w < q: the product with q is w 2^52 less something below q. The last
// levels, whose twiddles are most of the table, store quotients alone, and one of S nodes of a group: the second
// multiplication that the others need costs less than reading a table which, with the data, would not fit the
// second-level cache.
template <class V>
inline typename V::U ifma_word_of(typename V::U shoup, const IfmaModulus<V>& m) {
  return V::madd_high(V::set1_word(1), shoup, m.q);
}

// Every loop below works on two independent sets of vectors at once: one alone would wait for its multiplications.
inline constexpr std::size_t kIfmaSets = 2;

// K levels on 2^K vectors in registers; the first level's twiddle is that of `node`, whose children are 2 node + 0, 1.
// Sets s has the node `node + s * node_step`.
template <class V, std::size_t K, std::size_t S>
inline void ifma_forward_registers(typename V::U (*r)[std::size_t{1} << K], const std::uint64_t* w, std::size_t node,
                                   std::size_t node_step, const IfmaModulus<V>& m) {
#pragma GCC unroll 3
  for (std::size_t level = 0; level < K; ++level) {
    const std::size_t half = std::size_t{1} << (K - 1 - level);
#pragma GCC unroll 4
    for (std::size_t g = 0; g < (std::size_t{1} << level); ++g) {
#pragma GCC unroll 4
      for (std::size_t j = 0; j < half; ++j) {
#pragma GCC unroll 2
        for (std::size_t s = 0; s < S; ++s) {
          const std::uint64_t* pair = w + 2 * (((node + s * node_step) << level) + g);
          ifma_butterfly<V>(r[s][2 * g * half + j], r[s][(2 * g + 1) * half + j], V::set1_word(pair[0]),
                            V::set1_word(pair[1]), m);
        }
      }
    }
  }
}

// The inverse: values below 2 q in and out.
template <class V, std::size_t K, std::size_t S>
inline void ifma_inverse_registers(typename V::U (*r)[std::size_t{1} << K], const std::uint64_t* w, std::size_t node,
                                   std::size_t node_step, const IfmaModulus<V>& m) {
  auto bound = m.q2;
#pragma GCC unroll 3
  for (std::size_t step = 0; step < K; ++step) {
    const std::size_t level = K - 1 - step, half = std::size_t{1} << step;
#pragma GCC unroll 4
    for (std::size_t g = 0; g < (std::size_t{1} << level); ++g) {
#pragma GCC unroll 4
      for (std::size_t j = 0; j < half; ++j) {
#pragma GCC unroll 2
        for (std::size_t s = 0; s < S; ++s) {
          const std::uint64_t* pair = w + 2 * (((node + s * node_step) << level) + g);
          ifma_inverse_butterfly<V>(r[s][2 * g * half + j], r[s][(2 * g + 1) * half + j], V::set1_word(pair[0]),
                                    V::set1_word(pair[1]), bound, m);
        }
      }
    }
    bound = V::add_words(bound, bound);
  }
  // The first half ends with sums.
#pragma GCC unroll 4
  for (std::size_t j = 0; j < (std::size_t{1} << (K - 1)); ++j)
#pragma GCC unroll 2
    for (std::size_t s = 0; s < S; ++s) r[s][j] = ifma_reduce<V>(r[s][j], m);
}

// Before a level only its first operands need reducing: the second ones are multiplied anyway.
template <class V, std::size_t R, std::size_t S>
inline void ifma_reduce_first_half(typename V::U (*r)[R], const IfmaModulus<V>& m) {
#pragma GCC unroll 4
  for (std::size_t j = 0; j < R / 2; ++j)
#pragma GCC unroll 2
    for (std::size_t s = 0; s < S; ++s) r[s][j] = ifma_reduce<V>(r[s][j], m);
}
