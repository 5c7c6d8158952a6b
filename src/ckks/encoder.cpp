#include "ckks/encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/primes.h"
#include "simd/tables.h"

namespace sotto::ckks {

using Complex = std::complex<double>;

namespace {

std::uint64_t reverse_bits(std::uint64_t x, int bits) {
  std::uint64_t r = 0;
  for (int i = 0; i < bits; ++i) r |= ((x >> i) & 1) << (bits - 1 - i);
  return r;
}

constexpr std::size_t kLeaf = 64;  // values that are transformed at a time, as long as blocks are small

// (a, b) to (a + b, (a - b) w) for a block of 2 half values.
void butterflies(double* re, double* im, std::size_t half, Complex w) {
  const double wr = w.real(), wi = w.imag();
  for (std::size_t j = 0; j < half; ++j) {
    const double ar = re[j], ai = im[j], br = re[j + half], bi = im[j + half], dr = ar - br, di = ai - bi;
    re[j] = ar + br;
    im[j] = ai + bi;
    re[j + half] = dr * wr - di * wi;
    im[j + half] = dr * wi + di * wr;
  }
}

}  // namespace

Encoder::Encoder(int log_size, ring::RingKind kind) : n_(std::size_t{1} << log_size), kind_(kind) {
  const bool real = kind == ring::RingKind::conjugate_invariant;
  const std::uint64_t order = (real ? 4 : 2) * n_;
  const int tree_bits = log_size + (real ? 1 : 0);
  twiddle_.resize(n_);
  for (std::size_t m = 1; m < n_; m *= 2) {
    for (std::size_t i = 0; i < m; ++i) {
      // The transform tree of X^n + 1; in the conjugate-invariant ring the left half of that of X^2n + 1.
      const std::uint64_t e = reverse_bits((real ? 2 * m : m) + i, tree_bits);
      const double angle = 2 * std::numbers::pi * static_cast<double>(e) / static_cast<double>(order);
      twiddle_[m + i] = std::polar(1.0, angle);
    }
  }
  const std::size_t slots = real ? n_ : n_ / 2;
  slot_index_.resize(slots);
  if (!real) conjugate_index_.resize(slots);
  std::uint64_t e = 1;
  for (std::size_t j = 0; j < slots; ++j, e = e * 5 % order) {
    slot_index_[j] = reverse_bits(real ? (e - 1) / 4 : (e - 1) / 2, log_size);
    if (!real) conjugate_index_[j] = reverse_bits((order - e - 1) / 2, log_size);
  }
}

// The inverse transform, level by level from single values to the whole; blocks of zeros, as masks leave many, are
// skipped. re and im hold n values in the order of the transform.
void Encoder::inverse_transform(double* re, double* im) const {
  const std::size_t leaf = std::min<std::size_t>(n_, kLeaf);
  std::vector<std::uint8_t> filled(n_ / leaf);  // by block of the level
  for (std::size_t b = 0; b < filled.size(); ++b) {
    const std::size_t at = b * leaf;
    const auto zero = [](double v) { return v == 0; };
    filled[b] = !std::all_of(re + at, re + at + leaf, zero) || !std::all_of(im + at, im + at + leaf, zero);
    if (filled[b] == 0) continue;
    for (std::size_t half = 1; half < leaf; half *= 2)
      for (std::size_t j = at; j < at + leaf; j += 2 * half)
        butterflies(re + j, im + j, half, std::conj(twiddle_[(n_ + j) / (2 * half)]));
  }
  for (std::size_t half = leaf; half < n_; half *= 2) {
    for (std::size_t i = 0; i < n_ / (2 * half); ++i) {
      double *r = re + 2 * i * half, *m = im + 2 * i * half;
      const Complex w = std::conj(twiddle_[n_ / (2 * half) + i]);
      const bool low = filled[2 * i] != 0, high = filled[2 * i + 1] != 0;
      if (high) {
        butterflies(r, m, half, w);
      } else if (low) {
        for (std::size_t j = 0; j < half; ++j) {
          r[j + half] = r[j] * w.real() - m[j] * w.imag();
          m[j + half] = r[j] * w.imag() + m[j] * w.real();
        }
      }
      filled[i] = low || high ? 1 : 0;
    }
  }
}

std::vector<double> Encoder::embed_inverse(std::span<const Complex> slots) const {
  check(slots.size() <= slot_index_.size(), "too many values for the slots");
  std::vector<double> re(n_), im(n_);
  for (std::size_t j = 0; j < slots.size(); ++j) {
    re[slot_index_[j]] = slots[j].real();
    im[slot_index_[j]] = slots[j].imag();
    if (!conjugate_index_.empty()) {
      re[conjugate_index_[j]] = slots[j].real();
      im[conjugate_index_[j]] = -slots[j].imag();
    }
  }
  inverse_transform(re.data(), im.data());
  std::vector<double> out(n_);
  const double scale = 1.0 / static_cast<double>(n_);
  if (kind_ == ring::RingKind::standard) {
    for (std::size_t i = 0; i < n_; ++i) out[i] = re[i] * scale;
  } else {
    // a_i = (d_i + I d_{n-i}) / 2, a_0 = d_0; all real.
    out[0] = re[0] * scale;
    for (std::size_t i = 1; i < n_; ++i) out[i] = (re[i] - im[n_ - i]) * (scale / 2);
  }
  return out;
}

std::vector<double> Encoder::embed_inverse(std::span<const double> slots) const {
  if (kind_ == ring::RingKind::conjugate_invariant) return embed_inverse_pair(slots, {}).first;
  const std::vector<Complex> values(slots.begin(), slots.end());
  return embed_inverse(std::span<const Complex>(values));
}

std::pair<std::vector<double>, std::vector<double>> Encoder::embed_inverse_pair(std::span<const double> a,
                                                                                std::span<const double> b) const {
  check(kind_ == ring::RingKind::conjugate_invariant, "pairs are for the conjugate-invariant ring");
  check(std::max(a.size(), b.size()) <= slot_index_.size(), "too many values for the slots");
  std::vector<double> re(n_), im(n_);
  for (std::size_t j = 0; j < a.size(); ++j) re[slot_index_[j]] = a[j];
  for (std::size_t j = 0; j < b.size(); ++j) im[slot_index_[j]] = b[j];
  inverse_transform(re.data(), im.data());
  // d = (a_i - I a_{n-i}) + I (b_i - I b_{n-i}), d_0 = a_0 + I b_0.
  const double scale = 1.0 / static_cast<double>(n_);
  std::vector<double> first(n_), second(b.empty() ? 0 : n_);
  first[0] = re[0] * scale;
  for (std::size_t i = 1; i < n_; ++i) first[i] = (re[i] - im[n_ - i]) * (scale / 2);
  if (!b.empty()) {
    second[0] = im[0] * scale;
    for (std::size_t i = 1; i < n_; ++i) second[i] = (im[i] + re[n_ - i]) * (scale / 2);
  }
  return {std::move(first), std::move(second)};
}

std::vector<Complex> Encoder::embed(std::span<const double> coefficients) const {
  check(coefficients.size() == n_, "wrong number of coefficients");
  std::vector<Complex> x(n_);
  for (std::size_t i = 0; i < n_; ++i) {
    const bool fold = kind_ == ring::RingKind::conjugate_invariant && i > 0;
    x[i] = Complex(coefficients[i], fold ? -coefficients[n_ - i] : 0.0);
  }
  std::size_t half = n_ / 2;
  for (std::size_t m = 1; m < n_; m *= 2, half /= 2) {
    for (std::size_t i = 0; i < m; ++i) {
      const Complex w = twiddle_[m + i];
      for (std::size_t j = 2 * i * half; j < (2 * i + 1) * half; ++j) {
        const Complex a = x[j], b = x[j + half] * w;
        x[j] = a + b;
        x[j + half] = a - b;
      }
    }
  }
  std::vector<Complex> slots(slot_index_.size());
  for (std::size_t j = 0; j < slots.size(); ++j) slots[j] = x[slot_index_[j]];
  return slots;
}

Plaintext encode(const ring::Ring& ring, std::span<const double> coefficients, double scale, const Level& level) {
  check(coefficients.size() == ring.n() && level.count() >= 1, "encode: wrong sizes");
  std::vector<std::int64_t> rounded(ring.n());
  for (std::size_t i = 0; i < ring.n(); ++i) {
    const double v = std::nearbyint(coefficients[i] * scale);
    if (!(std::abs(v) < 0x1p62)) throw Error(ErrorCode::bad_input, "a value is too large to encode at this scale");
    rounded[i] = static_cast<std::int64_t>(v);
  }
  Plaintext p;
  p.scale = scale;
  p.poly = make_poly(ring, level);
  parallel_for_limbs(level, [&](std::size_t l) {
    const auto q = static_cast<std::int64_t>(ring.prime(l));
    std::uint64_t* out = p.poly[l].data();
    for (std::size_t i = 0; i < ring.n(); ++i) {
      const std::int64_t r = rounded[i] % q;
      out[i] = static_cast<std::uint64_t>(r < 0 ? r + q : r);
    }
    ring.ntt(out, l);
  });
  return p;
}

namespace {

// Exact coefficients of a decrypted polynomial, with its ciphertext, tell about the key.
void wipe(ring::Limb& limb, std::size_t words) { explicit_bzero(limb.data(), words * sizeof(std::uint64_t)); }

}  // namespace

std::vector<double> decode_coefficients(const ring::Ring& ring, const ring::RnsPoly& poly) {
  const Level level = level_of(poly);
  check(level.count() >= 1, "decode: no limbs");
  const auto first = static_cast<std::size_t>(level.absent), second = first + 1;
  const std::size_t n = ring.n();
  std::vector<double> out(n);
  const std::uint64_t q0 = ring.prime(first);
  ring::Limb x = ring.limb();
  std::memcpy(x.data(), poly[first].data(), n * sizeof(std::uint64_t));
  ring.intt(x.data(), x.data(), first);
  if (level.count() == 1) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t v = x.data()[i];
      out[i] = v > q0 / 2 ? -static_cast<double>(q0 - v) : static_cast<double>(v);
    }
    wipe(x, n);
    return out;
  }
  // Garner with two limbs: v = x0 + q0 * ((x1 - x0) / q0 mod q1), centred modulo q0 q1.
  const std::uint64_t q1 = ring.prime(second), inverse = ring::inverse_mod(q0 % q1, q1);
  ring::Limb y = ring.limb();
  std::memcpy(y.data(), poly[second].data(), n * sizeof(std::uint64_t));
  ring.intt(y.data(), y.data(), second);
  __extension__ using i128 = __int128;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t x0 = x.data()[i], x1 = y.data()[i];
    const std::uint64_t t = ring::mul_mod((x1 + q1 - x0 % q1) % q1, inverse, q1);
    i128 v = static_cast<i128>(x0) + static_cast<i128>(q0) * t;
    const i128 q = static_cast<i128>(q0) * q1;
    if (v > q / 2) v -= q;
    out[i] = static_cast<double>(v);
  }
  wipe(x, n);
  wipe(y, n);
  return out;
}

}  // namespace sotto::ckks
