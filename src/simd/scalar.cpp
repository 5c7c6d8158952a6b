// The portable kernels. They are the specification that every other set must match word for word.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "simd/kernels.h"

namespace sotto::simd {
namespace {

__extension__ using u128 = unsigned __int128;
__extension__ using i128 = __int128;
using u64 = std::uint64_t;
using std::size_t;

// Residues may be secrets: no branch depends on one (tests/constant_time). Words below 2^63 are converted as signed
// ones, which takes a single instruction.
double as_double(u64 x) { return static_cast<double>(static_cast<std::int64_t>(x)); }

// x - m if that is not negative, else x, for x and m below 2^63.
u64 subtract_once(u64 x, u64 m) {
  const u64 d = x - m;
  return d + (m & (0 - (d >> 63)));
}

// a - b modulo q, for a and b below q.
u64 sub_mod(u64 a, u64 b, u64 q) {
  const u64 d = a - b;
  return d + (q & (0 - (d >> 63)));
}

u64 mul_mod(u64 a, u64 b, u64 q) { return static_cast<u64>(static_cast<u128>(a) * b % q); }

// a * b mod q by one multiplication with 1/q in double precision: q < 2^48 leaves 16 spare bits for the quotient error.
u64 mul_fast(u64 a, u64 b, const ModulusView& m) {
  const auto quotient = static_cast<u64>(static_cast<std::int64_t>(as_double(a) * as_double(b) * m.qinv));
  u64 r = a * b - quotient * m.q;  // in (-2q, 2q)
  r += m.q & (0 - (r >> 63));
  r += m.q & (0 - (r >> 63));
  return subtract_once(r, m.q);
}

// x * w mod q in [0, 2q) for any x < 2^64. Shoup; Harvey 2014, algorithm 3.
u64 mul_shoup(u64 x, u64 w, u64 w_shoup, u64 q) {
  const u64 quotient = static_cast<u64>((static_cast<u128>(x) * w_shoup) >> 64);
  return x * w - quotient * q;
}

void ntt(u64* x, const NttView& t) {
  const u64 q = t.mod.q, two_q = 2 * q;
  const size_t n = t.n;
  if (t.conjugate_invariant) {
    // d_i = a_i - I a_{n-i}: the residue modulo X^n - I of the polynomial sum a_i (X^i + X^-i).
    for (size_t i = 1; i < n - i; ++i) {
      const u64 lo = x[i], hi = x[n - i];
      x[i] = lo + q - mul_fast(hi, t.imag, t.mod);
      x[n - i] = hi + q - mul_fast(lo, t.imag, t.mod);
    }
    x[n / 2] = x[n / 2] + q - mul_fast(x[n / 2], t.imag, t.mod);
  }
  size_t half = n / 2;
  for (size_t m = 1; m < n; m *= 2, half /= 2) {
    for (size_t i = 0; i < m; ++i) {
      const u64 w = t.forward.value[m + i], ws = t.forward.shoup[m + i];
      u64* a = x + 2 * i * half;
      u64* b = a + half;
      for (size_t j = 0; j < half; ++j) {  // words in [0, 4q)
        const u64 u = subtract_once(a[j], two_q);
        const u64 v = mul_shoup(b[j], w, ws, q);
        a[j] = u + v;
        b[j] = u + two_q - v;
      }
    }
  }
  for (size_t i = 0; i < n; ++i) x[i] = subtract_once(subtract_once(x[i], two_q), q);
}

void intt(u64* x, const u64* src, const NttView& t, u64 factor) {
  const u64 q = t.mod.q, two_q = 2 * q;
  const size_t n = t.n;
  if (src != x) std::copy_n(src, n, x);
  size_t half = 1;
  for (size_t m = n / 2; m >= 1; m /= 2, half *= 2) {
    for (size_t i = 0; i < m; ++i) {
      const u64 w = t.inverse.value[m + i], ws = t.inverse.shoup[m + i];
      u64* a = x + 2 * i * half;
      u64* b = a + half;
      for (size_t j = 0; j < half; ++j) {  // words in [0, 2q)
        const u64 u = a[j] + b[j];
        const u64 v = a[j] + two_q - b[j];
        a[j] = subtract_once(u, two_q);
        b[j] = mul_shoup(v, w, ws, q);
      }
    }
  }
  // 1/n = -(q - 1)/n for n a power of two that divides q - 1.
  const u64 scale = mul_mod(factor, q - (q - 1) / n, q);
  for (size_t i = 0; i < n; ++i) x[i] = mul_fast(subtract_once(x[i], q), scale, t.mod);
  if (t.conjugate_invariant) {
    // a_i = (d_i + I d_{n-i}) / 2, a_0 = d_0.
    const u64 one_half = (q + 1) / 2, imag_half = mul_mod(t.imag, one_half, q);
    auto unfold = [&](u64 d, u64 mirror) {
      return subtract_once(mul_fast(d, one_half, t.mod) + mul_fast(mirror, imag_half, t.mod), q);
    };
    for (size_t i = 1; i <= n - i; ++i) {
      const u64 lo = x[i], hi = x[n - i];
      x[i] = unfold(lo, hi);
      x[n - i] = unfold(hi, lo);
    }
  }
}

void add(u64* dst, const u64* a, const u64* b, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) dst[i] = subtract_once(a[i] + b[i], m.q);
}

void sub(u64* dst, const u64* a, const u64* b, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) dst[i] = sub_mod(a[i], b[i], m.q);
}

void mul(u64* dst, const u64* a, const u64* b, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) dst[i] = mul_fast(a[i], b[i], m);
}

void mul_scalar_add(u64* dst, const u64* a, u64 c, const u64* b, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) dst[i] = subtract_once(mul_fast(a[i], c, m) + (b ? b[i] : 0), m.q);
}

void sub_mul_scalar(u64* dst, const u64* a, const u64* b, u64 c, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) dst[i] = mul_fast(sub_mod(a[i], b[i], m.q), c, m);
}

void square(u64* d0, u64* d1, u64* d2, const u64* c0, const u64* c1, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) {
    const u64 x = c0[i], y = c1[i];
    const u64 cross = 2 * mul_fast(x, y, m);
    d0[i] = mul_fast(x, x, m);
    d1[i] = subtract_once(cross, m.q);
    d2[i] = mul_fast(y, y, m);
  }
}

u64 packed_word(const unsigned char* p, size_t i) {
  u64 x = 0;
  for (size_t k = 0; k < kPackedBytes; ++k) x |= static_cast<u64>(p[kPackedBytes * i + k]) << (8 * k);
  return x;
}

void pack(unsigned char* dst, const u64* src, size_t n) {
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < kPackedBytes; ++k) dst[kPackedBytes * i + k] = static_cast<unsigned char>(src[i] >> (8 * k));
}

void unpack(u64* dst, const unsigned char* src, size_t n) {
  for (size_t i = 0; i < n; ++i) dst[i] = packed_word(src, i);
}

void residues(u64* dst, const double* src, size_t n, const ModulusView& m) {
  const auto q = static_cast<std::int64_t>(m.q);
  for (size_t i = 0; i < n; ++i) {
    const std::int64_t r = static_cast<std::int64_t>(src[i]) % q;
    dst[i] = static_cast<u64>(r < 0 ? r + q : r);
  }
}

void inner_product(u64* acc0, u64* acc1, const u64* const* x, const unsigned char* const* k0,
                   const unsigned char* const* k1, size_t terms, size_t n, const ModulusView& m) {
  for (size_t i = 0; i < n; ++i) {
    u128 s0 = 0, s1 = 0;
    for (size_t t = 0; t < terms; ++t) {
      s0 += static_cast<u128>(x[t][i]) * packed_word(k0[t], i);
      s1 += static_cast<u128>(x[t][i]) * packed_word(k1[t], i);
    }
    acc0[i] = static_cast<u64>(s0 % m.q);
    acc1[i] = static_cast<u64>(s1 % m.q);
  }
}

void switch_end(const SwitchEnd& e, size_t n, const ModulusView& m) {
  for (size_t p = 0; p < 2; ++p) {
    for (size_t i = 0; i < n; ++i) {
      u128 sum = 0;
      for (size_t t = 0; t < e.terms; ++t)
        sum += static_cast<u128>(e.x[t][i]) * packed_word(p == 0 ? e.k0[t] : e.k1[t], i);
      const u64 s = static_cast<u64>(sum % m.q), y = e.y[p][i];
      const u64 r = mul_fast(s >= y ? s - y : s + m.q - y, e.inverse, m) +
                    (e.d[p] != nullptr ? mul_fast(e.d[p][i], e.factor, m) : 0);
      e.y[p][i] = r >= m.q ? r - m.q : r;
    }
  }
}

void matmul(const MatmulArgs& g) {
  if (g.sets > 1) {
    for (std::size_t k = 0; k < g.sets; ++k) matmul(g.set(k));
    return;
  }
  const size_t inputs = g.cols + (g.exact ? 1 : 0);
  std::vector<std::int64_t> column(inputs);
  for (size_t j = 0; j < g.length; ++j) {
    double overshoot = 0;
    for (size_t c = 0; c < g.cols; ++c) {
      const ModulusView& q = *g.src_mod[c];
      const u64 x = g.packed != nullptr ? packed_word(g.packed[c], j) : g.src[c][j];
      column[c] = static_cast<std::int64_t>(x - (q.q & (0 - ((q.q / 2 - x) >> 63))));  // centred
      overshoot = std::fma(static_cast<double>(column[c]), q.qinv, overshoot);
    }
    if (g.exact) column[g.cols] = static_cast<std::int64_t>(std::nearbyint(overshoot));
    for (size_t r = 0; r < g.rows; ++r) {
      const double* w = g.weight + r * g.stride;
      i128 sum = 0;
      if (g.start == SumStart::present) sum = static_cast<i128>(g.dst[r][j]);
      if (g.start == SumStart::constant) sum = static_cast<i128>(w[g.cols]);
      for (size_t c = 0; c < inputs; ++c) sum += static_cast<i128>(column[c]) * static_cast<std::int64_t>(w[c]);
      const auto q = static_cast<i128>(g.dst_mod[r]->q);
      sum %= q;
      g.dst[r][j] = static_cast<u64>(sum + (q & (sum >> 127)));
    }
  }
}

void automorphism(u64* dst, const u64* src, AutomorphismTable table, size_t n) {
  for (size_t t = 0; t < n / 4; ++t) {
    const u64* group = src + 4 * static_cast<size_t>(table[t] >> 3);
    const std::uint8_t* order = kGroupOrder[table[t] & 7];
    for (size_t r = 0; r < 4; ++r) dst[4 * t + r] = group[order[r]];
  }
}

void add_scaled(double* y, const double* const* x, const double* a, size_t terms, size_t n) {
  for (size_t t = 0; t < terms; ++t)
    for (size_t k = 0; k < n; ++k) y[k] += a[t] * x[t][k];
}

constexpr Kernels kScalar{
    "scalar", TwiddleLayout::shoup, ntt,        intt,   add,          sub,      mul,  mul_scalar_add, sub_mul_scalar,
    square,   inner_product,        switch_end, matmul, automorphism, residues, pack, unpack,         add_scaled};

}  // namespace

const Kernels& scalar_kernels() { return kScalar; }

}  // namespace sotto::simd
