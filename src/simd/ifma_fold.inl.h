// The conjugate-invariant ring's fold d_i = a_i - I a_{n-i} (ePrint 2018/952) joined with the first level of the
// forward tree, and its inverse joined with the last level of the inverse one.

inline constexpr std::size_t kIfmaFoldAhead = 256;  // how far ahead of use, in words, limbs are asked for

inline std::uint64_t add_mod_word(std::uint64_t a, std::uint64_t b, std::uint64_t q) {
  const std::uint64_t d = a + b - q;
  return d + (q & (0 - (d >> 63)));
}

// d_i = a_i - I a_{n-i} and the first level of the tree on {i, n/2 - i, n/2 + i, n - i}; values below 5 q come out.
template <class V>
inline void ifma_fold_first_level(std::uint64_t* x, const NttView& t, const IfmaModulus<V>& m) {
  constexpr std::size_t L = V::kLanes;
  const std::size_t n = t.n, half = n / 2;
  const std::uint64_t q = t.mod.q, w = t.forward.value[2];
  const auto single = [&](std::size_t i, std::size_t j) {  // pair (i, i + n/2) from values and mirrors
    const auto folded = [&](std::uint64_t a, std::uint64_t b) {
      return add_mod_word(a, q - mul_mod_word(b, t.imag, q), q);
    };
    const std::uint64_t a = x[i], am = i == 0 ? 0 : x[n - i], b = x[i + half], bm = x[half - i];
    const std::uint64_t da = folded(a, am), db = mul_mod_word(folded(b, bm), w, q);
    const std::uint64_t e = x[j], em = j == 0 ? 0 : x[n - j], f = x[j + half], fm = x[half - j];
    const std::uint64_t de = folded(e, em), df = mul_mod_word(folded(f, fm), w, q);
    x[i] = add_mod_word(da, db, q);
    x[i + half] = add_mod_word(da, q - db, q);
    x[j] = add_mod_word(de, df, q);
    x[j + half] = add_mod_word(de, q - df, q);
  };
  single(0, 0);
  for (std::size_t i = 1; i < L; ++i) single(i, half - i);
  single(n / 4, n / 4);
  const auto imag = V::set1_word(t.imag), imag_shoup = V::set1_word(IfmaModulus<V>::shoup_of(t.imag, q));
  const auto tw = V::set1_word(w), tw_shoup = V::set1_word(t.forward.value[3]);
  const auto folded = [&](typename V::U a, typename V::U b) {
    return V::sub_words(V::add_words(a, m.q2), ifma_mul<V>(b, imag, imag_shoup, m.minus_q));
  };
  for (std::size_t i = L; i < n / 4; i += L) {
    const std::size_t mirror = half - i - (L - 1);
    V::prefetch_far(x + i + kIfmaFoldAhead);
    V::prefetch_far(x + i + kIfmaFoldAhead + half);
    V::prefetch_far(x + mirror - kIfmaFoldAhead);
    V::prefetch_far(x + mirror - kIfmaFoldAhead + half);
    const auto a = V::load_words(x + i), b = V::load_words(x + i + half);
    const auto e = V::reverse_words(V::load_words_unaligned(x + mirror)),
               f = V::reverse_words(V::load_words_unaligned(x + mirror + half));
    // The mirror of i is n - i = (half - i) + half, and that of half + i is half - i.
    auto da = folded(a, f), db = folded(b, e), de = folded(e, b), df = folded(f, a);
    ifma_butterfly<V>(da, db, tw, tw_shoup, m);
    ifma_butterfly<V>(de, df, tw, tw_shoup, m);
    V::store_words(x + i, da);
    V::store_words(x + i + half, db);
    V::store_words_unaligned(x + mirror, V::reverse_words(de));
    V::store_words_unaligned(x + mirror + half, V::reverse_words(df));
  }
}

// The last level of the inverse tree and a_i = (d_i + I d_{n-i}) scale; values below 2 q come in, words in [0, q) go
// out.
template <class V>
inline void ifma_last_level_unfold(std::uint64_t* x, const NttView& t, std::uint64_t scale, const IfmaModulus<V>& m) {
  constexpr std::size_t L = V::kLanes;
  const std::size_t n = t.n, half = n / 2;
  const std::uint64_t q = t.mod.q, w = t.inverse.value[2];
  const std::uint64_t s = mul_mod_word(scale, (q + 1) / 2, q), is = mul_mod_word(s, t.imag, q);
  const std::uint64_t mask = (std::uint64_t{1} << 52) - 1;
  const auto single = [&](std::size_t i, std::size_t j) {
    std::uint64_t d[4] = {x[i], x[i + half], x[j], x[j + half]};
    for (auto& v : d) v = (v & mask) % q;
    const auto level = [&](std::uint64_t& a, std::uint64_t& b) {
      const std::uint64_t difference = add_mod_word(a, q - b, q);
      a = add_mod_word(a, b, q);
      b = mul_mod_word(difference, w, q);
    };
    level(d[0], d[1]);
    level(d[2], d[3]);
    const auto join = [&](std::uint64_t a, std::uint64_t b) {
      return add_mod_word(mul_mod_word(a, s, q), mul_mod_word(b, is, q), q);
    };
    // With j = n/2 - i: the mirror of i is j + n/2, that of i + n/2 is j.
    x[i] = i == 0 ? mul_mod_word(d[0], scale, q) : join(d[0], d[3]);
    x[i + half] = i == 0 ? join(d[1], d[1]) : join(d[1], d[2]);
    if (i == 0) return;
    x[j] = join(d[2], d[1]);
    x[j + half] = join(d[3], d[0]);
  };
  single(0, 0);
  for (std::size_t i = 1; i < L; ++i) single(i, half - i);
  single(n / 4, n / 4);
  const auto vs = V::set1_word(s), vss = V::set1_word(IfmaModulus<V>::shoup_of(s, q));
  const auto vi = V::set1_word(is), vis = V::set1_word(IfmaModulus<V>::shoup_of(is, q));
  const auto tw = V::set1_word(w), tw_shoup = V::set1_word(t.inverse.value[3]);
  const auto join = [&](typename V::U a, typename V::U b) {
    auto r = V::and_words(V::add_words(ifma_mul<V>(a, vs, vss, m.minus_q), ifma_mul<V>(b, vi, vis, m.minus_q)), m.mask);
    r = V::min_words(r, V::sub_words(r, m.q2));
    return V::min_words(r, V::sub_words(r, m.q));
  };
  for (std::size_t i = L; i < n / 4; i += L) {
    const std::size_t mirror = half - i - (L - 1);
    auto a = V::load_words(x + i), b = V::load_words(x + i + half);
    auto e = V::reverse_words(V::load_words_unaligned(x + mirror)),
         f = V::reverse_words(V::load_words_unaligned(x + mirror + half));
    ifma_inverse_butterfly<V>(a, b, tw, tw_shoup, m.q2, m);
    ifma_inverse_butterfly<V>(e, f, tw, tw_shoup, m.q2, m);
    V::store_words(x + i, join(a, f));
    V::store_words(x + i + half, join(b, e));
    V::store_words_unaligned(x + mirror, V::reverse_words(join(e, b)));
    V::store_words_unaligned(x + mirror + half, V::reverse_words(join(f, a)));
  }
}

// The shortest conjugate-invariant transform has no room for a split: fold and unfold it word by word.
inline void ifma_fold_short(std::uint64_t* x, const NttView& t, bool inverse, std::uint64_t scale) {
  const std::uint64_t q = t.mod.q, half = mul_mod_word(scale, (q + 1) / 2, q), mask = (std::uint64_t{1} << 52) - 1;
  if (inverse)
    for (std::size_t i = 0; i < t.n; ++i) x[i] = (x[i] & mask) % q;
  const auto join = [&](std::uint64_t a, std::uint64_t b) {
    const std::uint64_t ib = mul_mod_word(b, t.imag, q);
    return inverse ? mul_mod_word(add_mod_word(a, ib, q), half, q) : add_mod_word(a, q - ib, q);
  };
  if (inverse) x[0] = mul_mod_word(x[0], scale, q);
  for (std::size_t i = 1; i <= t.n / 2; ++i) {
    const std::uint64_t a = x[i], b = x[t.n - i];
    x[i] = join(a, b);
    x[t.n - i] = join(b, a);
  }
}
