// Word-by-word kernels with 52-bit integer multiply-adds; `n` is a multiple of 8.

template <class V>
void ifma_add(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n,
              const ModulusView& mod) {
  const auto q = V::set1_word(mod.q);
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const auto s = V::add_words(V::load_words(a + i), V::load_words(b + i));
    V::store_words(dst + i, V::min_words(s, V::sub_words(s, q)));
  }
}

template <class V>
void ifma_sub(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n,
              const ModulusView& mod) {
  const auto q = V::set1_word(mod.q);
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const auto d = V::sub_words(V::load_words(a + i), V::load_words(b + i));
    V::store_words(dst + i, V::min_words(d, V::add_words(d, q)));
  }
}

template <class V>
inline typename V::U ifma_product(typename V::U a, typename V::U b, const IfmaModulus<V>& m) {
  const auto zero = V::set1_word(0);
  return ifma_fold<V>(V::madd_low(zero, a, b), V::madd_high(zero, a, b), m);
}

template <class V>
void ifma_mul(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n,
              const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  for (std::size_t i = 0; i < n; i += V::kLanes)
    V::store_words(dst + i, ifma_product<V>(V::load_words(a + i), V::load_words(b + i), m));
}

template <class V>
void ifma_mul_scalar_add(std::uint64_t* dst, const std::uint64_t* a, std::uint64_t c, const std::uint64_t* b,
                         std::size_t n, const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  const auto w = V::set1_word(c), shoup = V::set1_word(IfmaModulus<V>::shoup_of(c, mod.q));
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    auto r = V::and_words(ifma_mul<V>(V::load_words(a + i), w, shoup, m.minus_q), m.mask);
    if (b != nullptr) r = V::add_words(r, V::load_words(b + i));
    r = V::min_words(r, V::sub_words(r, m.q2));
    V::store_words(dst + i, V::min_words(r, V::sub_words(r, m.q)));
  }
}

template <class V>
void ifma_sub_mul_scalar(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t c,
                         std::size_t n, const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  const auto w = V::set1_word(c), shoup = V::set1_word(IfmaModulus<V>::shoup_of(c, mod.q));
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const auto d = V::sub_words(V::add_words(V::load_words(a + i), m.q), V::load_words(b + i));
    const auto r = V::and_words(ifma_mul<V>(d, w, shoup, m.minus_q), m.mask);
    V::store_words(dst + i, V::min_words(r, V::sub_words(r, m.q)));
  }
}

template <class V>
void ifma_square(std::uint64_t* d0, std::uint64_t* d1, std::uint64_t* d2, const std::uint64_t* c0,
                 const std::uint64_t* c1, std::size_t n, const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const auto x = V::load_words(c0 + i), y = V::load_words(c1 + i);
    V::store_words(d0 + i, ifma_product<V>(x, x, m));
    V::store_words(d1 + i, ifma_product<V>(V::add_words(x, x), y, m));
    V::store_words(d2 + i, ifma_product<V>(y, y, m));
  }
}

// How far ahead of use, in words, key limbs are asked for: they come from memory.
inline constexpr std::size_t kIfmaKeysAhead = 512;

// Both sums over T terms at word i, as low and high halves.
template <class V, std::size_t T>
inline void ifma_inner_sums(const std::uint64_t* const* x, const unsigned char* const* k0,
                            const unsigned char* const* k1, std::size_t i, typename V::U (&low)[2],
                            typename V::U (&high)[2]) {
  low[0] = low[1] = high[0] = high[1] = V::set1_word(0);
#pragma GCC unroll 8
  for (std::size_t t = 0; t < T; ++t) {
    V::prefetch_far(k0[t] + kPackedBytes * (i + kIfmaKeysAhead));
    V::prefetch_far(k1[t] + kPackedBytes * (i + kIfmaKeysAhead));
    const auto v = V::load_words(x[t] + i);
    const typename V::U k[2] = {V::load_packed(k0[t] + kPackedBytes * i), V::load_packed(k1[t] + kPackedBytes * i)};
#pragma GCC unroll 2
    for (std::size_t p = 0; p < 2; ++p) {
      low[p] = V::madd_low(low[p], v, k[p]);
      high[p] = V::madd_high(high[p], v, k[p]);
    }
  }
}

template <class V>
void ifma_inner_product(std::uint64_t* acc0, std::uint64_t* acc1, const std::uint64_t* const* x,
                        const unsigned char* const* k0, const unsigned char* const* k1, std::size_t terms,
                        std::size_t n, const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  with_terms(terms, [&](auto count) {
    for (std::size_t i = 0; i < n; i += V::kLanes) {
      typename V::U low[2], high[2];
      ifma_inner_sums<V, count>(x, k0, k1, i, low, high);
      V::store_words(acc0 + i, ifma_fold<V>(low[0], high[0], m));
      V::store_words(acc1 + i, ifma_fold<V>(low[1], high[1], m));
    }
  });
}

template <class V>
void ifma_switch_end(const SwitchEnd& e, std::size_t n, const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  const auto inverse = V::set1_word(e.inverse),
             inverse_shoup = V::set1_word(IfmaModulus<V>::shoup_of(e.inverse, mod.q));
  const auto factor = V::set1_word(e.factor), factor_shoup = V::set1_word(IfmaModulus<V>::shoup_of(e.factor, mod.q));
  with_terms(e.terms, [&](auto count) {
    for (std::size_t i = 0; i < n; i += V::kLanes) {
      typename V::U low[2], high[2];
      ifma_inner_sums<V, count>(e.x, e.k0, e.k1, i, low, high);
#pragma GCC unroll 2
      for (std::size_t p = 0; p < 2; ++p) {
        const auto sum =
            V::sub_words(V::add_words(ifma_fold_lazy<V>(low[p], high[p], m), m.q), V::load_words(e.y[p] + i));
        auto r = ifma_mul<V>(sum, inverse, inverse_shoup, m.minus_q);
        if (e.d[p] != nullptr)
          r = V::add_words(r, ifma_mul<V>(V::load_words(e.d[p] + i), factor, factor_shoup, m.minus_q));
        r = V::and_words(r, m.mask);  // below 4 q
        r = V::min_words(r, V::sub_words(r, m.q2));
        V::store_words(e.y[p] + i, V::min_words(r, V::sub_words(r, m.q)));
      }
    }
  });
}
