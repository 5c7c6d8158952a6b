// Word-by-word kernels on doubles. `n` is a multiple of 8.

template <class V, class F>
inline void for_vectors(std::size_t n, F&& body) {
  for (std::size_t i = 0; i < n; i += V::kLanes) body(i);
}

template <class V>
void add(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n, const ModulusView& m) {
  const auto q = V::set1(m.qd);
  for_vectors<V>(n, [&](std::size_t i) {
    const auto s = V::sub(V::add(V::from_words(a + i), V::from_words(b + i)), q);
    V::to_words(dst + i, V::add_if_negative(s, q));
  });
}

template <class V>
void sub(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n, const ModulusView& m) {
  const auto q = V::set1(m.qd);
  for_vectors<V>(n, [&](std::size_t i) {
    V::to_words(dst + i, V::add_if_negative(V::sub(V::from_words(a + i), V::from_words(b + i)), q));
  });
}

template <class V>
void mul(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::size_t n, const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv);
  for_vectors<V>(n, [&](std::size_t i) {
    V::to_words(dst + i, V::add_if_negative(mul_mod<V>(V::from_words(a + i), V::from_words(b + i), q, qinv), q));
  });
}

template <class V>
void mul_scalar_add(std::uint64_t* dst, const std::uint64_t* a, std::uint64_t c, const std::uint64_t* b, std::size_t n,
                    const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv), w = V::set1(centred(c, m.q));
  for_vectors<V>(n, [&](std::size_t i) {
    auto r = mul_mod<V>(V::from_words(a + i), w, q, qinv);
    if (b) r = V::add(r, V::from_words(b + i));
    V::to_words(dst + i, canonical<V>(r, q, qinv));
  });
}

template <class V>
void sub_mul_scalar(std::uint64_t* dst, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t c, std::size_t n,
                    const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv), w = V::set1(centred(c, m.q));
  for_vectors<V>(n, [&](std::size_t i) {
    const auto d = V::sub(V::from_words(a + i), V::from_words(b + i));
    V::to_words(dst + i, V::add_if_negative(mul_mod<V>(d, w, q, qinv), q));
  });
}

template <class V>
void square(std::uint64_t* d0, std::uint64_t* d1, std::uint64_t* d2, const std::uint64_t* c0, const std::uint64_t* c1,
            std::size_t n, const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv);
  for_vectors<V>(n, [&](std::size_t i) {
    const auto x = V::from_words(c0 + i), y = V::from_words(c1 + i);
    const auto xx = mul_mod<V>(x, x, q, qinv), xy = mul_mod<V>(x, y, q, qinv), yy = mul_mod<V>(y, y, q, qinv);
    V::to_words(d0 + i, V::add_if_negative(xx, q));
    V::to_words(d1 + i, canonical<V>(V::add(xy, xy), q, qinv));
    V::to_words(d2 + i, V::add_if_negative(yy, q));
  });
}

// Both sums over T terms at word i, in (-q, q).
template <class V, std::size_t T>
inline void inner_sums(const std::uint64_t* const* x, const unsigned char* const* k0, const unsigned char* const* k1,
                       std::size_t i, typename V::D q, typename V::D qinv, typename V::D& sum0, typename V::D& sum1) {
  Accumulator<V> s0, s1;
  s0.reset();
  s1.reset();
#pragma GCC unroll 8
  for (std::size_t t = 0; t < T; ++t) {
    const auto v = V::from_words(x[t] + i);
    s0.multiply_add(v, V::from_packed(k0[t] + kPackedBytes * i));
    s1.multiply_add(v, V::from_packed(k1[t] + kPackedBytes * i));
  }
  sum0 = s0.fold(q, qinv);
  sum1 = s1.fold(q, qinv);
}

template <class V>
void inner_product(std::uint64_t* acc0, std::uint64_t* acc1, const std::uint64_t* const* x,
                   const unsigned char* const* k0, const unsigned char* const* k1, std::size_t terms, std::size_t n,
                   const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv);
  with_terms(terms, [&](auto count) {
    for_vectors<V>(n, [&](std::size_t i) {
      typename V::D s0, s1;
      inner_sums<V, count>(x, k0, k1, i, q, qinv, s0, s1);
      V::to_words(acc0 + i, V::add_if_negative(s0, q));
      V::to_words(acc1 + i, V::add_if_negative(s1, q));
    });
  });
}

template <class V>
void switch_end(const SwitchEnd& e, std::size_t n, const ModulusView& m) {
  const auto q = V::set1(m.qd), qinv = V::set1(m.qinv);
  const auto inverse = V::set1(centred(e.inverse, m.q)), factor = V::set1(centred(e.factor, m.q));
  with_terms(e.terms, [&](auto count) {
    for_vectors<V>(n, [&](std::size_t i) {
      typename V::D s[2];
      inner_sums<V, count>(e.x, e.k0, e.k1, i, q, qinv, s[0], s[1]);
#pragma GCC unroll 2
      for (std::size_t p = 0; p < 2; ++p) {
        auto r = mul_mod<V>(V::sub(s[p], V::from_words(e.y[p] + i)), inverse, q, qinv);
        if (e.d[p] != nullptr) r = V::add(r, mul_mod<V>(V::from_words(e.d[p] + i), factor, q, qinv));
        V::to_words(e.y[p] + i, canonical<V>(r, q, qinv));
      }
    });
  });
}
