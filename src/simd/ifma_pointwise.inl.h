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

template <class V, std::size_t T>
inline void ifma_inner_product_terms(std::uint64_t* acc0, std::uint64_t* acc1, const std::uint64_t* const* x,
                                     const unsigned char* const* k0, const unsigned char* const* k1, std::size_t n,
                                     const ModulusView& mod) {
  const IfmaModulus<V> m(mod);
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    auto l0 = V::set1_word(0), h0 = l0, l1 = l0, h1 = l0;
#pragma GCC unroll 8
    for (std::size_t t = 0; t < T; ++t) {
      const auto v = V::load_words(x[t] + i), a = V::load_packed(k0[t] + kPackedBytes * i),
                 b = V::load_packed(k1[t] + kPackedBytes * i);
      l0 = V::madd_low(l0, v, a);
      h0 = V::madd_high(h0, v, a);
      l1 = V::madd_low(l1, v, b);
      h1 = V::madd_high(h1, v, b);
    }
    V::store_words(acc0 + i, ifma_fold<V>(l0, h0, m));
    V::store_words(acc1 + i, ifma_fold<V>(l1, h1, m));
  }
}

template <class V>
void ifma_inner_product(std::uint64_t* acc0, std::uint64_t* acc1, const std::uint64_t* const* x,
                        const unsigned char* const* k0, const unsigned char* const* k1, std::size_t terms,
                        std::size_t n, const ModulusView& m) {
  switch (terms) {
    case 1:
      return ifma_inner_product_terms<V, 1>(acc0, acc1, x, k0, k1, n, m);
    case 2:
      return ifma_inner_product_terms<V, 2>(acc0, acc1, x, k0, k1, n, m);
    case 3:
      return ifma_inner_product_terms<V, 3>(acc0, acc1, x, k0, k1, n, m);
    case 4:
      return ifma_inner_product_terms<V, 4>(acc0, acc1, x, k0, k1, n, m);
    case 5:
      return ifma_inner_product_terms<V, 5>(acc0, acc1, x, k0, k1, n, m);
    case 6:
      return ifma_inner_product_terms<V, 6>(acc0, acc1, x, k0, k1, n, m);
    case 7:
      return ifma_inner_product_terms<V, 7>(acc0, acc1, x, k0, k1, n, m);
    default:
      return ifma_inner_product_terms<V, 8>(acc0, acc1, x, k0, k1, n, m);
  }
}
