#include "ckks/evaluator.h"

#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/primes.h"

namespace sotto::ckks {

using ring::Limb;
using ring::RnsPoly;
using u64 = std::uint64_t;

namespace {

RnsPoly make_poly(const ring::Ring& ring, int limbs) {
  RnsPoly p;
  p.reserve(static_cast<std::size_t>(limbs));
  for (int l = 0; l < limbs; ++l) p.push_back(ring.limb());
  return p;
}

void copy_limb(const ring::Ring& ring, u64* dst, const u64* src) { std::memcpy(dst, src, ring.n() * sizeof(u64)); }

void check_match(const Ciphertext& a, int limbs, double scale) {
  check(a.limbs() == limbs, "operands are at different levels");
  check(std::abs(a.scale / scale - 1) < 0x1p-20, "operands have different scales");
}

}  // namespace

// Basis conversions are prepared at first use: for digits (tier, limbs, digit) and for divisions (tier, limbs, rescale).
struct Evaluator::Conversions {
  struct Division {
    std::vector<std::size_t> dropped, kept;
    std::unique_ptr<ring::BasisConversion> conversion;
    std::vector<u64> inverse;  // of the dropped product, per kept prime
  };
  struct Digit {
    std::vector<std::size_t> own, others;  // limb positions; others includes the special primes after `limbs`
    std::unique_ptr<ring::BasisConversion> conversion;
  };
  std::mutex mutex;
  std::map<std::tuple<int, int, int>, Digit> digits;
  std::map<std::tuple<int, int, bool>, Division> divisions;
};

Evaluator::Evaluator(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring, std::vector<KeyTier> tiers,
                     KeyProvider* keys)
    : parameters_(parameters),
      ring_(std::move(ring)),
      tiers_(std::move(tiers)),
      keys_(keys),
      conversions_(std::make_unique<Conversions>()) {}

Evaluator::~Evaluator() = default;

int Evaluator::tier_for(int limbs) const {
  int best = -1;
  for (int t = 0; t < static_cast<int>(tiers_.size()); ++t)
    if (tiers_[t].max_limbs >= limbs && (best < 0 || tiers_[t].max_limbs < tiers_[best].max_limbs)) best = t;
  check(best >= 0, "no key tier serves this level");
  return best;
}

Ciphertext Evaluator::add(const Ciphertext& a, const Ciphertext& b) const {
  check_match(a, b.limbs(), b.scale);
  Ciphertext out{make_poly(*ring_, a.limbs()), make_poly(*ring_, a.limbs()), a.scale};
  parallel_for(a.c0.size(), [&](std::size_t l) {
    ring_->kernels().add(out.c0[l].data(), a.c0[l].data(), b.c0[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().add(out.c1[l].data(), a.c1[l].data(), b.c1[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::sub(const Ciphertext& a, const Ciphertext& b) const {
  check_match(a, b.limbs(), b.scale);
  Ciphertext out{make_poly(*ring_, a.limbs()), make_poly(*ring_, a.limbs()), a.scale};
  parallel_for(a.c0.size(), [&](std::size_t l) {
    ring_->kernels().sub(out.c0[l].data(), a.c0[l].data(), b.c0[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().sub(out.c1[l].data(), a.c1[l].data(), b.c1[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::add_plain(const Ciphertext& a, const Plaintext& p) const {
  check(p.limbs() >= a.limbs(), "plaintext has too few limbs");
  check_match(a, a.limbs(), p.scale);
  Ciphertext out = drop_to(a, a.limbs());
  parallel_for(a.c0.size(), [&](std::size_t l) {
    ring_->kernels().add(out.c0[l].data(), a.c0[l].data(), p.poly[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::multiply_plain(const Ciphertext& a, const Plaintext& p) const {
  check(p.limbs() >= a.limbs(), "plaintext has too few limbs");
  Ciphertext out{make_poly(*ring_, a.limbs()), make_poly(*ring_, a.limbs()), a.scale * p.scale};
  parallel_for(a.c0.size(), [&](std::size_t l) {
    ring_->kernels().mul(out.c0[l].data(), a.c0[l].data(), p.poly[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().mul(out.c1[l].data(), a.c1[l].data(), p.poly[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::multiply_scalar(const Ciphertext& a, double value, double scale) const {
  const double rounded = std::nearbyint(value * scale);
  check(std::abs(rounded) < 0x1p62, "scalar is too large");
  Ciphertext out{make_poly(*ring_, a.limbs()), make_poly(*ring_, a.limbs()), a.scale * scale};
  parallel_for(a.c0.size(), [&](std::size_t l) {
    const auto q = static_cast<std::int64_t>(ring_->prime(l));
    const std::int64_t r = static_cast<std::int64_t>(rounded) % q;
    const u64 c = static_cast<u64>(r < 0 ? r + q : r);
    ring_->kernels().mul_scalar_add(out.c0[l].data(), a.c0[l].data(), c, nullptr, ring_->n(), ring_->modulus(l));
    ring_->kernels().mul_scalar_add(out.c1[l].data(), a.c1[l].data(), c, nullptr, ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::drop_to(const Ciphertext& a, int limbs) const {
  check(limbs >= 1 && limbs <= a.limbs(), "cannot drop to this level");
  Ciphertext out{make_poly(*ring_, limbs), make_poly(*ring_, limbs), a.scale};
  parallel_for(static_cast<std::size_t>(limbs), [&](std::size_t l) {
    copy_limb(*ring_, out.c0[l].data(), a.c0[l].data());
    copy_limb(*ring_, out.c1[l].data(), a.c1[l].data());
  });
  return out;
}

// ModUp. The input stays transformed for its own limbs; the others come from the coefficients.
Decomposition Evaluator::decompose(const RnsPoly& poly, int tier) const {
  const int limbs = static_cast<int>(poly.size()), alpha = tiers_[tier].digit_limbs(), special = tiers_[tier].special;
  const int q = parameters_.spec().ciphertext_primes;
  const int digits = (limbs + alpha - 1) / alpha;
  check(limbs <= tiers_[tier].max_limbs, "the key tier is too small for this level");

  std::vector<const Conversions::Digit*> plan;
  {
    const std::lock_guard lock(conversions_->mutex);
    for (int d = 0; d < digits; ++d) {
      auto& entry = conversions_->digits[{tier, limbs, d}];
      if (!entry.conversion) {
        std::vector<std::size_t> from, to;
        for (int j = 0; j < limbs + special; ++j) {
          const bool own = j < limbs && j / alpha == d;
          (own ? entry.own : entry.others).push_back(static_cast<std::size_t>(j));
          (own ? from : to).push_back(static_cast<std::size_t>(j < limbs ? j : q + j - limbs));
        }
        entry.conversion = std::make_unique<ring::BasisConversion>(*ring_, from, to, false);
      }
      plan.push_back(&entry);
    }
  }

  Decomposition out{limbs, tier, {}, &poly};
  out.digits.resize(static_cast<std::size_t>(digits));
  RnsPoly coefficients = make_poly(*ring_, limbs);
  parallel_for(static_cast<std::size_t>(limbs), [&](std::size_t l) {
    const auto& digit = *plan[l / static_cast<std::size_t>(alpha)];
    copy_limb(*ring_, coefficients[l].data(), poly[l].data());
    ring_->intt(coefficients[l].data(), l, digit.conversion->input_factor(l - digit.own.front()));
  });
  for (int d = 0; d < digits; ++d) {
    const auto& digit = *plan[d];
    RnsPoly& limbs_of = out.digits[d];
    limbs_of.resize(static_cast<std::size_t>(limbs + special));
    std::vector<const u64*> src;
    std::vector<u64*> dst;
    for (std::size_t j : digit.own) src.push_back(coefficients[j].data());
    for (std::size_t j : digit.others) {
      limbs_of[j] = ring_->limb();
      dst.push_back(limbs_of[j].data());
    }
    digit.conversion->run(src, dst);
  }
  // All transforms modulo one prime follow each other: its tables are read once.
  parallel_for(static_cast<std::size_t>(limbs + special), [&](std::size_t j) {
    const std::size_t prime = j < static_cast<std::size_t>(limbs) ? j : static_cast<std::size_t>(q) + j - limbs;
    for (RnsPoly& digit : out.digits)
      if (digit[j]) ring_->ntt(digit[j].data(), prime);
  });
  return out;
}

Extended Evaluator::switch_digits(const Decomposition& d, u64 exponent) const {
  check(keys_ != nullptr, "this evaluator has no keys");
  const SwitchingKey& key = keys_->key({d.tier, exponent});
  const int special = key.tier.special, total = d.limbs + special;
  const std::size_t digits = d.digits.size();
  Extended out{d.limbs, d.tier, make_poly(*ring_, total), make_poly(*ring_, total)};
  parallel_for(static_cast<std::size_t>(total), [&](std::size_t j) {
    const int key_limb = static_cast<int>(j) < d.limbs ? static_cast<int>(j) : key.tier.max_limbs + static_cast<int>(j) - d.limbs;
    std::vector<const u64*> x(digits), b(digits), a(digits);
    for (std::size_t k = 0; k < digits; ++k) {
      x[k] = d.digits[k][j] ? d.digits[k][j].data() : (*d.input)[j].data();
      b[k] = key.digits[k].b[key_limb].data();
      a[k] = key.digits[k].a[key_limb].data();
    }
    const std::size_t prime = key.prime_index(key_limb, parameters_.spec().ciphertext_primes);
    ring_->kernels().inner_product(out.c0[j].data(), out.c1[j].data(), x.data(), b.data(), a.data(), digits, ring_->n(),
                                   ring_->modulus(prime));
  });
  return out;
}

// ModDown, with the rescaling merged in: one exact division by the special primes and, if asked, the last prime.
void Evaluator::divide_pair(RnsPoly& x0, RnsPoly& x1, int limbs, int tier, bool rescale, RnsPoly& c0, RnsPoly& c1,
                            const RnsPoly* add) const {
  const int special = tier < 0 ? 0 : tiers_[tier].special, q = parameters_.spec().ciphertext_primes;
  const int kept = rescale ? limbs - 1 : limbs;
  check(kept >= 1, "no level is left to rescale");
  const Conversions::Division* plan = nullptr;
  {
    const std::lock_guard lock(conversions_->mutex);
    auto& entry = conversions_->divisions[{tier, limbs, rescale}];
    if (!entry.conversion) {
      if (rescale) entry.dropped.push_back(static_cast<std::size_t>(limbs - 1));
      for (int k = 0; k < special; ++k) entry.dropped.push_back(static_cast<std::size_t>(q + k));
      for (int k = 0; k < kept; ++k) {
        const u64 p = ring_->prime(static_cast<std::size_t>(k));
        u64 product = 1;
        for (std::size_t i : entry.dropped) product = ring::mul_mod(product, ring_->prime(i) % p, p);
        entry.kept.push_back(static_cast<std::size_t>(k));
        entry.inverse.push_back(ring::inverse_mod(product, p));
      }
      entry.conversion = std::make_unique<ring::BasisConversion>(*ring_, entry.dropped, entry.kept, true);
    }
    plan = &entry;
  }
  // Position in x of the dropped primes: the last ciphertext limb, then the special ones. Both polynomials go together, so that
  // the tables of a prime are read once.
  const std::size_t first = static_cast<std::size_t>(kept);
  RnsPoly* const in[] = {&x0, &x1};
  RnsPoly* const out[] = {&c0, &c1};
  parallel_for(plan->dropped.size(), [&](std::size_t k) {
    for (RnsPoly* x : in) ring_->intt((*x)[first + k].data(), plan->dropped[k], plan->conversion->input_factor(k));
  });
  for (int p = 0; p < 2; ++p) {
    *out[p] = make_poly(*ring_, kept);
    std::vector<const u64*> src;
    std::vector<u64*> dst;
    for (std::size_t k = 0; k < plan->dropped.size(); ++k) src.push_back((*in[p])[first + k].data());
    for (auto& limb : *out[p]) dst.push_back(limb.data());
    plan->conversion->run(src, dst);
  }
  parallel_for(static_cast<std::size_t>(kept), [&](std::size_t l) {
    for (int p = 0; p < 2; ++p) {
      u64* y = (*out[p])[l].data();
      ring_->ntt(y, l);
      ring_->kernels().sub_mul_scalar(y, (*in[p])[l].data(), y, plan->inverse[l], ring_->n(), ring_->modulus(l));
      if (p == 0 && add != nullptr) ring_->kernels().add(y, y, (*add)[l].data(), ring_->n(), ring_->modulus(l));
    }
  });
  x0.clear();
  x1.clear();
}

void Evaluator::divide(Extended e, bool rescale, RnsPoly& c0, RnsPoly& c1) const {
  divide_pair(e.c0, e.c1, e.limbs, e.tier, rescale, c0, c1);
}

Ciphertext Evaluator::rescale(const Ciphertext& a) const {
  Ciphertext copy = drop_to(a, a.limbs());
  Ciphertext out;
  divide_pair(copy.c0, copy.c1, a.limbs(), -1, true, out.c0, out.c1);
  out.scale = a.scale / static_cast<double>(ring_->prime(a.c0.size() - 1));
  return out;
}

Ciphertext Evaluator::finish_product(RnsPoly d0, RnsPoly d1, const RnsPoly& d2, double scale) const {
  const int limbs = static_cast<int>(d0.size()), tier = tier_for(limbs), q = parameters_.spec().ciphertext_primes;
  Extended e = switch_digits(decompose(d2, tier), 0);
  // Join (d0, d1) at the scale of the special primes, so that one division serves relinearisation and rescaling.
  parallel_for(static_cast<std::size_t>(limbs), [&](std::size_t l) {
    const u64 p = ring_->prime(l);
    u64 product = 1;
    for (int k = 0; k < tiers_[tier].special; ++k) product = ring::mul_mod(product, ring_->prime(static_cast<std::size_t>(q + k)) % p, p);
    const auto& m = ring_->modulus(l);
    ring_->kernels().mul_scalar_add(e.c0[l].data(), d0[l].data(), product, e.c0[l].data(), ring_->n(), m);
    ring_->kernels().mul_scalar_add(e.c1[l].data(), d1[l].data(), product, e.c1[l].data(), ring_->n(), m);
  });
  d0.clear();
  d1.clear();
  Ciphertext out;
  divide(std::move(e), true, out.c0, out.c1);
  out.scale = scale / static_cast<double>(ring_->prime(static_cast<std::size_t>(limbs - 1)));
  return out;
}

Ciphertext Evaluator::multiply(const Ciphertext& a, const Ciphertext& b) const {
  check(a.limbs() == b.limbs(), "operands are at different levels");
  RnsPoly d0 = make_poly(*ring_, a.limbs()), d1 = make_poly(*ring_, a.limbs()), d2 = make_poly(*ring_, a.limbs());
  parallel_for(a.c0.size(), [&](std::size_t l) {
    const auto& m = ring_->modulus(l);
    const auto& k = ring_->kernels();
    const u64* x[2] = {a.c0[l].data(), a.c1[l].data()};
    const u64* y[2] = {b.c1[l].data(), b.c0[l].data()};
    k.inner_product(d1[l].data(), d0[l].data(), x, y, y, 2, ring_->n(), m);
    k.mul(d0[l].data(), a.c0[l].data(), b.c0[l].data(), ring_->n(), m);
    k.mul(d2[l].data(), a.c1[l].data(), b.c1[l].data(), ring_->n(), m);
  });
  return finish_product(std::move(d0), std::move(d1), d2, a.scale * b.scale);
}

Ciphertext Evaluator::square(Ciphertext a) const {
  RnsPoly d2 = make_poly(*ring_, a.limbs());
  parallel_for(a.c0.size(), [&](std::size_t l) {
    ring_->kernels().square(a.c0[l].data(), a.c1[l].data(), d2[l].data(), a.c0[l].data(), a.c1[l].data(), ring_->n(),
                            ring_->modulus(l));
  });
  return finish_product(std::move(a.c0), std::move(a.c1), d2, a.scale * a.scale);
}

Ciphertext Evaluator::permuted(const RnsPoly& c0, const RnsPoly& c1, u64 exponent, double scale) const {
  const std::uint32_t* table = ring_->automorphism(exponent);
  const int limbs = static_cast<int>(c0.size());
  Ciphertext out{make_poly(*ring_, limbs), make_poly(*ring_, limbs), scale};
  parallel_for(c0.size(), [&](std::size_t l) {
    ring_->kernels().automorphism(out.c0[l].data(), c0[l].data(), table, ring_->n());
    ring_->kernels().automorphism(out.c1[l].data(), c1[l].data(), table, ring_->n());
  });
  return out;
}

Ciphertext Evaluator::apply(const Ciphertext& a, const Decomposition& d, u64 exponent) const {
  RnsPoly k0, k1;
  Extended e = switch_digits(d, exponent);
  divide_pair(e.c0, e.c1, e.limbs, e.tier, false, k0, k1, &a.c0);
  return permuted(k0, k1, exponent, a.scale);
}

Ciphertext Evaluator::rotate(const Ciphertext& a, std::int64_t steps) const {
  const std::int64_t one[] = {steps};
  return std::move(rotate_many(a, one).front());
}

Ciphertext Evaluator::conjugate(const Ciphertext& a) const {
  check(!ring_->conjugate_invariant(), "the slots of this ring are real");
  return apply(a, decompose(a.c1, tier_for(a.limbs())), ring_->cyclotomic_order() - 1);
}

std::vector<Ciphertext> Evaluator::rotate_many(const Ciphertext& a, std::span<const std::int64_t> steps) const {
  std::vector<Ciphertext> out;
  std::unique_ptr<Decomposition> d;
  for (std::int64_t s : steps) {
    const u64 g = ring_->rotation_exponent(s);
    if (g == 1) {
      out.push_back(drop_to(a, a.limbs()));
      continue;
    }
    if (!d) d = std::make_unique<Decomposition>(decompose(a.c1, tier_for(a.limbs())));
    out.push_back(apply(a, *d, g));
  }
  return out;
}

Ciphertext Evaluator::rotate_sum(const Ciphertext& a, std::span<const std::int64_t> steps) const {
  const int tier = tier_for(a.limbs()), q = parameters_.spec().ciphertext_primes, special = tiers_[tier].special;
  const Decomposition d = decompose(a.c1, tier);
  Ciphertext sum = drop_to(a, a.limbs());
  Extended total;
  Limb scratch = ring_->limb();
  for (std::int64_t s : steps) {
    const u64 g = ring_->rotation_exponent(s);
    check(g != 1, "rotate_sum: a rotation by zero");
    Extended e = switch_digits(d, g);
    // Permute in the extended basis; the plain part c0 is permuted and added unscaled.
    const std::uint32_t* table = ring_->automorphism(g);
    Extended moved{e.limbs, e.tier, make_poly(*ring_, e.limbs + special), make_poly(*ring_, e.limbs + special)};
    parallel_for(e.c0.size(), [&](std::size_t j) {
      const std::size_t prime = static_cast<int>(j) < e.limbs ? j : static_cast<std::size_t>(q) + j - static_cast<std::size_t>(e.limbs);
      const auto& k = ring_->kernels();
      k.automorphism(moved.c0[j].data(), e.c0[j].data(), table, ring_->n());
      k.automorphism(moved.c1[j].data(), e.c1[j].data(), table, ring_->n());
      if (!total.c0.empty()) {
        k.add(moved.c0[j].data(), moved.c0[j].data(), total.c0[j].data(), ring_->n(), ring_->modulus(prime));
        k.add(moved.c1[j].data(), moved.c1[j].data(), total.c1[j].data(), ring_->n(), ring_->modulus(prime));
      }
      if (static_cast<int>(j) < e.limbs) {
        k.automorphism(e.c0[j].data(), a.c0[j].data(), table, ring_->n());
        k.add(sum.c0[j].data(), sum.c0[j].data(), e.c0[j].data(), ring_->n(), ring_->modulus(prime));
      }
    });
    total = std::move(moved);
  }
  if (total.c0.empty()) return sum;
  RnsPoly k0, k1;
  divide(std::move(total), false, k0, k1);
  parallel_for(sum.c0.size(), [&](std::size_t l) {
    ring_->kernels().add(sum.c0[l].data(), sum.c0[l].data(), k0[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().add(sum.c1[l].data(), sum.c1[l].data(), k1[l].data(), ring_->n(), ring_->modulus(l));
  });
  return sum;
}

const SwitchingKey& KeyMap::key(const KeyId& id) {
  const auto it = keys.find(id);
  if (it == keys.end()) throw Error(ErrorCode::wrong_key, "the evaluation keys lack a key that the plan needs; make keys for this plan");
  return it->second;
}

}  // namespace sotto::ckks
