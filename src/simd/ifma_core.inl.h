// Residue arithmetic with 52-bit integer multiply-adds (VPMADD52LUQ / VPMADD52HUQ), shared by the transforms and
// products of the AVX-512 set.
//
// Included inside an anonymous namespace after the vector type `V` (kLanes 64-bit words `U`). A multiply-add reads only
// the low 52 bits of its operands, so values may carry garbage above bit 51 as long as the true value, which is what
// the bounds below speak of, lies in [0, 2^52) = [0, 16 q): lazy sums and differences need no masks.

template <class V>
struct IfmaModulus {
  typename V::U q, q2, minus_q;  // q, 2 q, 2^52 - q
  typename V::U inverse;         // floor(2^52 / q)
  typename V::U r52, r52_shoup;  // 2^52 mod q, floor(r52 2^52 / q)
  typename V::U mask;            // 2^52 - 1

  explicit inline IfmaModulus(const ModulusView& m) {
    const std::uint64_t top = std::uint64_t{1} << 52;
    q = V::set1_word(m.q);
    q2 = V::set1_word(2 * m.q);
    minus_q = V::set1_word(top - m.q);
    inverse = V::set1_word(m.inverse52);
    r52 = V::set1_word(m.r52);
    r52_shoup = V::set1_word(m.r52_shoup);
    mask = V::set1_word(top - 1);
  }

  // floor(w 2^52 / q) for w < q.
  static inline std::uint64_t shoup_of(std::uint64_t w, std::uint64_t q) {
    __extension__ using u128 = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<u128>(w) << 52) / q);
  }
};

// x w modulo q in [0, 2 q), for any x in [0, 16 q) and w < q with its Shoup quotient.
template <class V>
inline typename V::U ifma_mul(typename V::U x, typename V::U w, typename V::U shoup, typename V::U minus_q) {
  const auto zero = V::set1_word(0);
  return V::madd_low(V::madd_low(zero, x, w), V::madd_high(zero, x, shoup), minus_q);
}

// x modulo q in [0, 2 q), for x in [0, 16 q).
template <class V>
inline typename V::U ifma_reduce(typename V::U x, const IfmaModulus<V>& m) {
  return V::madd_low(x, V::madd_high(V::set1_word(0), x, m.inverse), m.minus_q);
}

// The representative in [0, q) of x in [0, 16 q).
template <class V>
inline typename V::U ifma_canonical(typename V::U x, const IfmaModulus<V>& m) {
  const auto r = V::and_words(ifma_reduce<V>(x, m), m.mask);
  return V::min_words(r, V::sub_words(r, m.q));
}

// low + 2^52 high modulo q in [0, 4 q), with garbage above bit 51, for true 64-bit sums low < 2^63, high < 2^51.
template <class V>
inline typename V::U ifma_fold_lazy(typename V::U low, typename V::U high, const IfmaModulus<V>& m) {
  const auto zero = V::set1_word(0);
  const auto h = V::add_words(high, V::shift_right_52(low)), l = V::and_words(low, m.mask);
  auto r = V::madd_low(l, V::madd_high(zero, l, m.inverse), m.minus_q);
  r = V::madd_low(r, h, m.r52);
  return V::madd_low(r, V::madd_high(zero, h, m.r52_shoup), m.minus_q);
}

// The same in [0, q).
template <class V>
inline typename V::U ifma_fold(typename V::U low, typename V::U high, const IfmaModulus<V>& m) {
  auto r = V::and_words(ifma_fold_lazy<V>(low, high, m), m.mask);
  r = V::min_words(r, V::sub_words(r, m.q2));
  return V::min_words(r, V::sub_words(r, m.q));
}
