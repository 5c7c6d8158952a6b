#include "bootstrap/slot_matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <numbers>

#include "base/error.h"
#include "base/parallel.h"

namespace sotto::bootstrap {

namespace {

using Complex = std::complex<double>;

// Powers 5^j, j < count, of the primitive root of this order.
std::vector<Complex> roots(std::size_t order, std::size_t count) {
  std::vector<Complex> w;
  std::size_t galois_element = 1;
  for (std::size_t j = 0; j < count; ++j, galois_element = galois_element * 5 % order)
    w.push_back(
        std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(galois_element) / static_cast<double>(order)));
  return w;
}

// A matrix over complex numbers whose real parts lie in the lower and whose imaginary parts in the upper half of the
// slots.
class ComplexMatrix {
 public:
  explicit ComplexMatrix(std::size_t slots) : half_(slots / 2) { matrix_.slots = slots; }

  // Row `to` += w * column `from`.
  void add(std::size_t to, std::size_t from, Complex w) {
    add(to, false, from, false, w.real());
    add(to, false, from, true, -w.imag());
    add(to, true, from, false, w.imag());
    add(to, true, from, true, w.real());
  }
  // One real entry; flags: the imaginary part.
  void add(std::size_t to, bool to_imaginary, std::size_t from, bool from_imaginary, double value) {
    matrix_.add(to + (to_imaginary ? half_ : 0), from + (from_imaginary ? half_ : 0), value);
  }
  SlotMatrix take() { return std::move(matrix_); }

 private:
  std::size_t half_;
  SlotMatrix matrix_;
};

// One level of the transform, with butterflies between places h apart. Places 0 .. half - 2h hold complex transforms of
// 2h points, each in 2h places; the last 2h places hold the 4h slots of an element of rank 4h, place p its slots p and
// p + 2h. The level leaves transforms of h points, among them a new one, and an element of rank 2h.
SlotMatrix forward_level(std::size_t slots, std::size_t h) {
  ComplexMatrix m(slots);
  const std::size_t tail = slots / 2 - 2 * h;
  const std::vector<Complex> z = roots(8 * h, h), x = roots(16 * h, 2 * h);
  for (std::size_t p = 0; p < tail; p += 2 * h) {
    for (std::size_t j = 0; j < h; ++j) {
      m.add(p + j, p + j, 0.5);
      m.add(p + j, p + j + h, 0.5);
      m.add(p + h + j, p + j, 0.5 * std::conj(z[j]));
      m.add(p + h + j, p + h + j, -0.5 * std::conj(z[j]));
    }
  }
  for (std::size_t j = 0; j < h; ++j) {
    for (std::size_t k : {j, j + h}) {  // differences d_k: real numbers, turned by 1 / x_k and added
      const Complex w = 0.25 * std::conj(x[k]);
      m.add(tail + j, false, tail + k, false, w.real());
      m.add(tail + j, false, tail + k, true, -w.real());
      m.add(tail + j, true, tail + k, false, w.imag());
      m.add(tail + j, true, tail + k, true, -w.imag());
      for (bool imaginary : {false, true}) m.add(tail + h + j, k != j, tail + k, imaginary, 0.5);  // sums
    }
  }
  return m.take();
}

SlotMatrix inverse_level(std::size_t slots, std::size_t h) {
  ComplexMatrix m(slots);
  const std::size_t tail = slots / 2 - 2 * h;
  const std::vector<Complex> z = roots(8 * h, h), x = roots(16 * h, 2 * h);
  for (std::size_t p = 0; p < tail; p += 2 * h) {
    for (std::size_t j = 0; j < h; ++j) {
      m.add(p + j, p + j, 1);
      m.add(p + j, p + j + h, z[j]);
      m.add(p + h + j, p + j, 1);
      m.add(p + h + j, p + h + j, -z[j]);
    }
  }
  for (std::size_t j = 0; j < h; ++j) {
    for (std::size_t k : {j, j + h}) {
      for (bool imaginary : {false, true}) {  // slot k: sum + difference, slot k + 2h: sum - difference
        const double sign = imaginary ? -1 : 1;
        m.add(tail + k, imaginary, tail + h + j, k != j, 1);
        m.add(tail + k, imaginary, tail + j, false, 2 * sign * x[k].real());
        m.add(tail + k, imaginary, tail + j, true, -2 * sign * x[k].imag());
      }
    }
  }
  return m.take();
}

// The element of rank 2 that remains in the last place, slots (a, b): coefficients (a + b) / 2 and (a - b) / (2
// sqrt(2)).
SlotMatrix last_level(std::size_t slots, bool inverse) {
  ComplexMatrix m(slots);
  const std::size_t last = slots / 2 - 1;
  for (std::size_t p = 0; p < last; ++p) m.add(p, p, 1);
  const double root = std::numbers::sqrt2;
  for (bool column : {false, true}) {
    const double sign = column ? -1 : 1;
    if (inverse) {
      m.add(last, column, last, false, 1);
      m.add(last, column, last, true, sign * root);
    } else {
      m.add(last, false, last, column, 0.5);
      m.add(last, true, last, column, sign * 0.5 / root);
    }
  }
  return m.take();
}

// Levels h = slots / 4, .., 1 in groups as equal as can be; the first groups are the larger ones, for shifts of theirs
// coincide.
std::vector<int> level_counts(std::size_t slots, int factors) {
  const int levels = static_cast<int>(std::bit_width(slots)) - 2;
  check(factors >= 1 && factors <= levels, "too many factors for so few slots");
  std::vector<int> counts;
  for (int f = 0; f < factors; ++f) counts.push_back(levels / factors + (f < levels % factors ? 1 : 0));
  return counts;
}

std::vector<SlotMatrix> grouped(std::size_t slots, int factors, bool inverse) {
  std::vector<SlotMatrix> result;
  std::size_t h = slots / 4;
  for (const int count : level_counts(slots, factors)) {
    SlotMatrix product;
    for (int k = 0; k < count; ++k, h /= 2) {
      const SlotMatrix level = inverse ? inverse_level(slots, h) : forward_level(slots, h);
      if (k == 0)
        product = level;
      else
        product = inverse ? product * level : level * product;
    }
    if (h == 0) {
      const SlotMatrix level = last_level(slots, inverse);
      product = inverse ? product * level : level * product;
    }
    if (inverse)
      result.insert(result.begin(), std::move(product));
    else
      result.push_back(std::move(product));
  }
  return result;
}

}  // namespace

void SlotMatrix::add(std::size_t to, std::size_t from, double value) {
  if (value == 0) return;
  auto& diagonal = diagonals[(from + slots - to) % slots];
  diagonal.resize(slots);
  diagonal[to] += value;
}

std::vector<double> SlotMatrix::operator*(std::span<const double> v) const {
  std::vector<double> out(slots);
  for (const auto& [shift, diagonal] : diagonals)
    for (std::size_t j = 0; j < slots; ++j) out[j] += diagonal[j] * v[(j + shift) % slots];
  return out;
}

SlotMatrix operator*(const SlotMatrix& a, const SlotMatrix& b) {
  SlotMatrix out{a.slots, {}};
  for (const auto& [s, x] : a.diagonals) {
    for (const auto& [t, y] : b.diagonals) {
      auto& diagonal = out.diagonals[(s + t) % a.slots];
      diagonal.resize(a.slots);
      for (std::size_t j = 0; j < a.slots; ++j) diagonal[j] += x[j] * y[(j + s) % a.slots];
    }
  }
  // Sums that cancel leave rounding errors behind.
  std::erase_if(out.diagonals, [](const auto& entry) {
    return std::all_of(entry.second.begin(), entry.second.end(), [](double v) { return std::abs(v) < 0x1p-40; });
  });
  return out;
}

std::vector<SlotMatrix> inverse_embedding(std::size_t slots, int factors) { return grouped(slots, factors, false); }

std::vector<SlotMatrix> embedding(std::size_t slots, int factors) { return grouped(slots, factors, true); }

std::vector<FactorShape> factor_shapes(std::size_t slots, int factors) {
  std::vector<FactorShape> shapes;
  auto h = static_cast<std::int64_t>(slots / 4);
  for (const int count : level_counts(slots, factors)) {
    const std::int64_t step = h >> (count - 1), most = (std::int64_t{1} << count) - 1;
    // Modulo half the slots: shifts of the first factor come full circle.
    const std::int64_t circle = static_cast<std::int64_t>(slots / 2) / step;
    shapes.push_back({step, static_cast<int>(std::max(-most, -circle / 2)),
                      static_cast<int>(std::min(most, circle - circle / 2 - 1))});
    h = step / 2;
  }
  return shapes;
}

}  // namespace sotto::bootstrap
