#include "ckks/chebyshev.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numbers>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"

namespace sotto::ckks {

namespace {

int ceil_log2(int v) { return std::bit_width(static_cast<unsigned>(v - 1)); }

// Degree without trailing zeros.
int degree_of(std::span<const double> series) {
  int d = static_cast<int>(series.size()) - 1;
  while (d > 0 && series[static_cast<std::size_t>(d)] == 0) --d;
  return d;
}

// Whether only even powers occur. Then it is a series of half the degree in T_2, of as many divisions in all: T_2k =
// T_k(T_2).
bool is_even(std::span<const double> series) {
  if (degree_of(series) < 4) return false;
  for (std::size_t k = 1; k < series.size(); k += 2)
    if (series[k] != 0) return false;
  return true;
}

std::vector<double> halved(std::span<const double> series) {
  std::vector<double> half;
  for (std::size_t k = 0; k < series.size(); k += 2) half.push_back(series[k]);
  return half;
}

// Which T_k a series is evaluated from: baby steps T_1 .. T_{baby-1} and powers of two up to T_giant.
struct Steps {
  int baby = 0, giant = 0;

  // Whether a series of this degree is a sum of baby steps, when the result may have `divisions` behind it. If they are
  // too few, the series is split although it is short: the path of leading coefficients is tight.
  [[nodiscard]] bool combines(int degree, int divisions) const {
    return degree < baby && (degree == 0 ? 0 : ceil_log2(degree)) + 1 <= divisions;
  }
  // The giant step by which a series is divided.
  [[nodiscard]] int divisor(int degree) const {
    check(degree > 0, "a constant is not divided");
    return std::min(giant, 1 << (std::bit_width(static_cast<unsigned>(degree)) - 1));
  }
};

// p = q T_m + r with deg r < m: T_k = 2 T_m T_{k-m} - T_{|2m-k|}.
void divide(std::span<const double> p, int m, std::vector<double>& q, std::vector<double>& r) {
  r.assign(p.begin(), p.end());
  q.assign(p.size() - static_cast<std::size_t>(m), 0);
  for (int k = static_cast<int>(p.size()) - 1; k >= m; --k) {
    const double c = r[static_cast<std::size_t>(k)];
    q[static_cast<std::size_t>(k - m)] = k == m ? c : 2 * c;
    if (k > m) r[static_cast<std::size_t>(std::abs(2 * m - k))] -= c;
  }
  r.resize(static_cast<std::size_t>(m));
}

// One evaluation: powers T_k of x at their natural levels, then the series by recursion from the top.
class Evaluation {
 public:
  Evaluation(const Evaluator& evaluator, const Ciphertext& x) : evaluator_(evaluator) {
    powers_.emplace(1, evaluator.drop_to(x, x.limbs()));
  }

  // T_k has ceil(log2 k) divisions behind it.
  const Ciphertext& power(int k) {
    if (const auto it = powers_.find(k); it != powers_.end()) return it->second;
    check(k > 1, "T_1 is there from the beginning");
    const int half = 1 << (ceil_log2(k) - 1), rest = k - half;  // T_k = 2 T_half T_rest - T_{half - rest}
    Ciphertext t;
    if (rest == half) {
      const Ciphertext& h = power(half);
      t = evaluator_.square(evaluator_.drop_to(h, h.limbs()));
      t = evaluator_.add_scalar(evaluator_.add(t, t), -1);
    } else {
      const Ciphertext &a = power(half), &b = power(rest);
      const int limbs = std::min(a.limbs(), b.limbs());
      t = evaluator_.multiply(evaluator_.drop_to(a, limbs), evaluator_.drop_to(b, limbs));
      t = evaluator_.add(t, t);
      // Subtracting needs the scale of the product: a multiplication by 1 at the right scale and a division.
      t = evaluator_.sub(t, adjusted(power(half - rest), t.limbs(), t.scale));
    }
    return powers_.emplace(k, std::move(t)).first->second;
  }

  // The series at `limbs` limbs and exactly this scale.
  Ciphertext evaluate(std::span<const double> series, const Steps& steps, int limbs, double scale) {
    const int degree = degree_of(series);
    series = series.first(static_cast<std::size_t>(degree) + 1);
    if (steps.combines(degree, power(1).limbs() - limbs)) return combination(series, limbs, scale);
    const int divisor = steps.divisor(degree);
    std::vector<double> q, r;
    divide(series, divisor, q, r);
    const Ciphertext& t = power(divisor);
    const double modulus = static_cast<double>(evaluator_.ring().prime(static_cast<std::size_t>(limbs)));
    Ciphertext product;
    const Ciphertext factor = evaluator_.drop_to(t, limbs + 1);
    if (degree_of(q) == 0)
      product = evaluator_.rescale(evaluator_.multiply_scalar(factor, q[0], scale * modulus / t.scale));
    else
      product = evaluator_.multiply(evaluate(q, steps, limbs + 1, scale * modulus / t.scale), factor);
    product.scale = scale;  // up to rounding in double
    return evaluator_.add(product, evaluate(r, steps, limbs, scale));
  }

 private:
  // Sum of c_k T_k over baby steps: scalars bring every term to one scale, then one division.
  Ciphertext combination(std::span<const double> series, int limbs, double scale) {
    const double target = scale * static_cast<double>(evaluator_.ring().prime(static_cast<std::size_t>(limbs)));
    std::optional<Ciphertext> sum;
    for (std::size_t k = 1; k < series.size(); ++k) {
      if (series[k] == 0) continue;
      const Ciphertext& t = power(static_cast<int>(k));
      Ciphertext term = evaluator_.multiply_scalar(evaluator_.drop_to(t, limbs + 1), series[k], target / t.scale);
      term.scale = target;
      sum = sum ? evaluator_.add(*sum, term) : std::move(term);
    }
    if (!sum) {  // a constant
      const Ciphertext& t = power(1);
      sum = evaluator_.multiply_scalar(evaluator_.drop_to(t, limbs + 1), 0, target / t.scale);
    }
    Ciphertext out = evaluator_.rescale(std::move(*sum));
    out.scale = scale;
    return evaluator_.add_scalar(std::move(out), series[0]);
  }

  Ciphertext adjusted(const Ciphertext& t, int limbs, double scale) {
    const double modulus = static_cast<double>(evaluator_.ring().prime(static_cast<std::size_t>(limbs)));
    Ciphertext out =
        evaluator_.rescale(evaluator_.multiply_scalar(evaluator_.drop_to(t, limbs + 1), 1, scale * modulus / t.scale));
    out.scale = scale;
    return out;
  }

  const Evaluator& evaluator_;
  std::map<int, Ciphertext> powers_;
};

// The products of an evaluation, without doing it.
class Count {
 public:
  void power(int k) {
    if (k <= 1 || !powers_.insert(k).second) return;
    const int half = 1 << (ceil_log2(k) - 1), rest = k - half;
    power(half);
    power(rest);
    power(half - rest);
    ++products_;
  }

  void evaluate(std::span<const double> series, const Steps& steps, int divisions) {
    const int degree = degree_of(series);
    series = series.first(static_cast<std::size_t>(degree) + 1);
    if (steps.combines(degree, divisions)) {
      for (int k = 1; k <= degree; ++k)
        if (series[static_cast<std::size_t>(k)] != 0) power(k);
      return;
    }
    possible_ = possible_ && ceil_log2(degree + 1) <= divisions;
    if (!possible_) return;
    std::vector<double> q, r;
    divide(series, steps.divisor(degree), q, r);
    power(steps.divisor(degree));
    if (degree_of(q) > 0) {
      ++products_;
      evaluate(q, steps, divisions - 1);
    }
    evaluate(r, steps, divisions);
  }

  [[nodiscard]] bool possible() const { return possible_; }
  [[nodiscard]] int products() const { return products_; }

 private:
  std::set<int> powers_;
  int products_ = 0;
  bool possible_ = true;  // within the divisions
};

// Those that take the fewest products (ePrint 2020/834, section 2), and of these the largest giant steps: every
// division by one doubles coefficients.
std::pair<Steps, int> search_steps(std::span<const double> series) {
  const int degree = std::max(1, degree_of(series));
  std::pair<Steps, int> best{{2, 1}, INT_MAX};
  for (int giant = 1 << (std::bit_width(static_cast<unsigned>(degree)) - 1); giant >= 1; giant /= 2) {
    for (int baby = 2; baby <= std::max(2, 2 * degree); baby *= 2) {
      Count count;
      count.evaluate(series, {baby, giant}, chebyshev_depth(series));
      if (count.possible() && count.products() < best.second) best = {{baby, giant}, count.products()};
    }
  }
  return best;
}

// The same few series come again and again.
std::pair<Steps, int> best_steps(std::span<const double> series) {
  constexpr std::size_t kMostKept = 64;
  thread_local std::map<std::vector<double>, std::pair<Steps, int>> known;
  std::vector<double> key(series.begin(), series.end());
  if (const auto it = known.find(key); it != known.end()) return it->second;
  if (known.size() >= kMostKept) known.clear();
  return known.emplace(std::move(key), search_steps(series)).first->second;
}

}  // namespace

std::vector<double> chebyshev_fit(const std::function<double(double)>& f, int degree) {
  const int count = degree + 1;
  std::vector<double> value, series;
  for (int j = 0; j < count; ++j) value.push_back(f(std::cos(std::numbers::pi * (j + 0.5) / count)));
  for (int k = 0; k < count; ++k) {
    double sum = 0;
    for (int j = 0; j < count; ++j)
      sum += value[static_cast<std::size_t>(j)] * std::cos(std::numbers::pi * k * (j + 0.5) / count);
    series.push_back(sum * (k == 0 ? 1.0 : 2.0) / count);
  }
  return series;
}

double chebyshev_value(std::span<const double> series, double x) {
  double b1 = 0, b2 = 0;
  for (std::size_t k = series.size(); k-- > 1;) {
    const double b0 = series[k] + 2 * x * b1 - b2;
    b2 = b1;
    b1 = b0;
  }
  return series[0] + x * b1 - b2;
}

int chebyshev_depth(std::span<const double> series) { return std::max(1, ceil_log2(degree_of(series) + 1)); }

int chebyshev_products(std::span<const double> series) {
  return is_even(series) ? 1 + chebyshev_products(halved(series)) : best_steps(series).second;
}

Ciphertext chebyshev_evaluate(const Evaluator& evaluator, const Ciphertext& x, std::span<const double> series,
                              double scale) {
  const int limbs = x.limbs() - chebyshev_depth(series);
  check(!series.empty() && limbs >= 1, "too few levels for this series");
  if (is_even(series)) return chebyshev_evaluate(evaluator, Evaluation(evaluator, x).power(2), halved(series), scale);
  return Evaluation(evaluator, x).evaluate(series, best_steps(series).first, limbs, scale);
}

}  // namespace sotto::ckks
