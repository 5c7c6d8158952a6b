#include "ckks/encoder.h"

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

std::vector<double> Encoder::embed_inverse(std::span<const Complex> slots) const {
  check(slots.size() <= slot_index_.size(), "too many values for the slots");
  std::vector<Complex> x(n_);
  for (std::size_t j = 0; j < slots.size(); ++j) {
    x[slot_index_[j]] = slots[j];
    if (!conjugate_index_.empty()) x[conjugate_index_[j]] = std::conj(slots[j]);
  }
  std::size_t half = 1;
  for (std::size_t m = n_ / 2; m >= 1; m /= 2, half *= 2) {
    for (std::size_t i = 0; i < m; ++i) {
      const Complex w = std::conj(twiddle_[m + i]);
      for (std::size_t j = 2 * i * half; j < (2 * i + 1) * half; ++j) {
        const Complex a = x[j], b = x[j + half];
        x[j] = a + b;
        x[j + half] = (a - b) * w;
      }
    }
  }
  std::vector<double> out(n_);
  const double scale = 1.0 / static_cast<double>(n_);
  if (kind_ == ring::RingKind::standard) {
    for (std::size_t i = 0; i < n_; ++i) out[i] = x[i].real() * scale;
  } else {
    // a_i = (d_i + I d_{n-i}) / 2, a_0 = d_0; all real.
    out[0] = x[0].real() * scale;
    for (std::size_t i = 1; i < n_; ++i) out[i] = (x[i].real() - x[n_ - i].imag()) * scale / 2;
  }
  return out;
}

std::vector<double> Encoder::embed_inverse(std::span<const double> slots) const {
  const std::vector<Complex> values(slots.begin(), slots.end());
  return embed_inverse(std::span<const Complex>(values));
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

Plaintext encode(const ring::Ring& ring, std::span<const double> coefficients, double scale, int limbs) {
  check(coefficients.size() == ring.n() && limbs >= 1, "encode: wrong sizes");
  std::vector<std::int64_t> rounded(ring.n());
  for (std::size_t i = 0; i < ring.n(); ++i) {
    const double v = std::nearbyint(coefficients[i] * scale);
    if (!(std::abs(v) < 0x1p62)) throw Error(ErrorCode::bad_input, "a value is too large to encode at this scale");
    rounded[i] = static_cast<std::int64_t>(v);
  }
  Plaintext p;
  p.scale = scale;
  for (int l = 0; l < limbs; ++l) p.poly.push_back(ring.limb());
  parallel_for(static_cast<std::size_t>(limbs), [&](std::size_t l) {
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

std::vector<double> decode_coefficients(const ring::Ring& ring, const ring::RnsPoly& poly) {
  check(!poly.empty(), "decode: no limbs");
  const std::size_t n = ring.n();
  std::vector<double> out(n);
  const std::uint64_t q0 = ring.prime(0);
  ring::Limb x = ring.limb();
  std::memcpy(x.data(), poly[0].data(), n * sizeof(std::uint64_t));
  ring.intt(x.data(), x.data(), 0);
  if (poly.size() == 1) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t v = x.data()[i];
      out[i] = v > q0 / 2 ? -static_cast<double>(q0 - v) : static_cast<double>(v);
    }
    return out;
  }
  // Garner with two limbs: v = x0 + q0 * ((x1 - x0) / q0 mod q1), centred modulo q0 q1.
  const std::uint64_t q1 = ring.prime(1), inverse = ring::inverse_mod(q0 % q1, q1);
  ring::Limb y = ring.limb();
  std::memcpy(y.data(), poly[1].data(), n * sizeof(std::uint64_t));
  ring.intt(y.data(), y.data(), 1);
  __extension__ using i128 = __int128;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t x0 = x.data()[i], x1 = y.data()[i];
    const std::uint64_t t = ring::mul_mod((x1 + q1 - x0 % q1) % q1, inverse, q1);
    i128 v = static_cast<i128>(x0) + static_cast<i128>(q0) * t;
    const i128 q = static_cast<i128>(q0) * q1;
    if (v > q / 2) v -= q;
    out[i] = static_cast<double>(v);
  }
  return out;
}

}  // namespace sotto::ckks
