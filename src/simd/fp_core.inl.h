// Residue arithmetic in double precision, shared by the AVX2 and AVX-512 kernel sets.
//
// Included inside the anonymous namespace of each instruction set's source file, after it has defined the vector type
// `V` (kLanes doubles). Residues are integers held in doubles, |x| < 2^53 = 32 q, not reduced until they leave a
// kernel.

// x - q * round(x / q), for an integer |x| < 2^53; the result is within (0.5 + 2^-53 * 3 |x/q|) q of zero.
template <class V>
inline typename V::D reduce(typename V::D x, typename V::D q, typename V::D qinv) {
  return V::fnma(V::round(V::mul(x, qinv)), q, x);
}

// x * w modulo q, |x| <= 32 q, |w| <= q/2 (or both below q); the result is within (0.5 + 0.047 |x/q|) q of zero
// (0.6 q), so that for canonical operands one conditional addition gives the canonical result.
// The product is split exactly into high and low parts by one fused multiply-add; both h - c q and the sum are exact.
template <class V>
inline typename V::D mul_mod(typename V::D x, typename V::D w, typename V::D q, typename V::D qinv) {
  const auto h = V::mul(x, w);
  const auto l = V::fms(x, w, h);
  const auto c = V::round(V::mul(h, qinv));
  return V::add(V::fnma(c, q, h), l);
}

// The representative in [0, q) of an integer |x| < 2^53.
template <class V>
inline typename V::D canonical(typename V::D x, typename V::D q, typename V::D qinv) {
  const auto r = reduce<V>(x, q, qinv);
  return V::add_if_negative(r, q);
}

// Error-free accumulation of products. `high` starts at kBias, whose last bit weighs 2^49: one fused multiply-add
// leaves the product's high part in it, a subtraction and a second one recover the low part exactly. Up to kBlock
// products of magnitude 2^94 keep high within +-2^100 of the bias and the sum of the low parts below 2^53, so nothing
// is ever lost.
inline constexpr double kBias = 0x1.8p101;
inline constexpr std::size_t kBlock = 24;

template <class V>
struct Accumulator {
  typename V::D high, low;

  inline void reset() {
    high = V::set1(kBias);
    low = V::set1(0.0);
  }
  inline void multiply_add(typename V::D x, typename V::D w) {
    const auto next = V::fma(x, w, high);
    const auto part = V::sub(next, high);
    high = next;
    low = V::add(low, V::fms(x, w, part));
  }
  // The sum modulo q, |result| < 0.6 q.
  inline typename V::D fold(typename V::D q, typename V::D qinv) const {
    const auto h = reduce<V>(V::sub(high, V::set1(kBias)), q, qinv);  // |h| < 2.5 q: the quotient may be off by two
    return reduce<V>(V::add(h, low), q, qinv);
  }
};
