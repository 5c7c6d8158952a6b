#include "ckks/key_switch.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/primes.h"

namespace sotto::ckks {

using ring::Limb;
using ring::RnsPoly;
using u64 = std::uint64_t;

// Limb positions count the ciphertext's limbs first, then the special primes.
struct KeySwitcher::Digit {
  std::vector<std::size_t> own, others;
  std::unique_ptr<ring::BasisConversion> conversion;
};

struct KeySwitcher::ModDownConstants {
  std::vector<std::size_t> dropped;  // primes, those of positions `kept` and up
  std::size_t kept = 0;
  std::unique_ptr<ring::BasisConversion> conversion;
  std::vector<u64> inverse;          // of the dropped product, per kept prime
  std::vector<u64> special_product;  // of the special primes, per ciphertext prime
};

// Prepared at first use: digits by (tier, limbs, digit), divisions by (tier, limbs, rescale).
struct KeySwitcher::Conversions {
  std::mutex mutex;
  std::map<std::tuple<int, int, int>, Digit> digits;
  std::map<std::tuple<int, int, bool>, ModDownConstants> divisions;
};

KeySwitcher::KeySwitcher(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring,
                         std::vector<KeyTier> tiers, KeyProvider* keys)
    : parameters_(parameters),
      ring_(std::move(ring)),
      tiers_(std::move(tiers)),
      keys_(keys),
      conversions_(std::make_unique<Conversions>()) {}

KeySwitcher::~KeySwitcher() = default;

int KeySwitcher::tier_for(int limbs) const {
  const int tier = ckks::tier_for(tiers_, limbs);
  check(tier >= 0, "no key tier serves this level");
  return tier;
}

int KeySwitcher::ephemeral_tier() const {
  const int tier = ckks::ephemeral_tier(tiers_);
  check(tier >= 0, "there is no tier for the ephemeral secret");
  return tier;
}

std::size_t KeySwitcher::prime_of(std::size_t j, int limbs) const {
  const auto l = static_cast<std::size_t>(limbs);
  return j < l ? j : static_cast<std::size_t>(parameters_.spec().ciphertext_primes) + j - l;
}

const KeySwitcher::Digit& KeySwitcher::digit(int tier, int limbs, int d) const {
  const std::lock_guard lock(conversions_->mutex);
  Digit& entry = conversions_->digits[{tier, limbs, d}];
  if (!entry.conversion) {
    std::vector<std::size_t> from, to;
    for (int j = 0; j < limbs + tiers_[tier].special; ++j) {
      const bool own = j < limbs && j / tiers_[tier].digit_limbs() == d;
      const auto position = static_cast<std::size_t>(j);
      (own ? entry.own : entry.others).push_back(position);
      (own ? from : to).push_back(prime_of(position, limbs));
    }
    entry.conversion = std::make_unique<ring::BasisConversion>(*ring_, from, to, false);
  }
  return entry;
}

const KeySwitcher::ModDownConstants& KeySwitcher::mod_down_constants(int tier, int limbs, bool rescale) const {
  const std::lock_guard lock(conversions_->mutex);
  ModDownConstants& entry = conversions_->divisions[{tier, limbs, rescale}];
  if (!entry.conversion) {
    const int kept = rescale ? limbs - 1 : limbs, special = tier < 0 ? 0 : tiers_[tier].special;
    check(kept >= 1, "no level is left to rescale");
    std::vector<std::size_t> to;
    for (int j = kept; j < limbs + special; ++j) entry.dropped.push_back(prime_of(static_cast<std::size_t>(j), limbs));
    for (int j = 0; j < limbs; ++j) {
      const u64 p = ring_->prime(static_cast<std::size_t>(j));
      u64 product = 1;
      for (int k = 0; k < special; ++k)
        product = ring::mul_mod(product, ring_->prime(prime_of(static_cast<std::size_t>(limbs + k), limbs)) % p, p);
      entry.special_product.push_back(product);
      if (j >= kept) continue;
      if (rescale) product = ring::mul_mod(product, ring_->prime(static_cast<std::size_t>(kept)) % p, p);
      to.push_back(static_cast<std::size_t>(j));
      entry.inverse.push_back(ring::inverse_mod(product, p));
    }
    entry.kept = static_cast<std::size_t>(kept);
    entry.conversion = std::make_unique<ring::BasisConversion>(*ring_, entry.dropped, to, true);
  }
  return entry;
}

// The input stays transformed for its own limbs; the others come from the coefficients.
RaisedDigits KeySwitcher::mod_up(const RnsPoly& poly, int tier, bool hoisted) const {
  const int limbs = static_cast<int>(poly.size()), alpha = tiers_[tier].digit_limbs();
  check(limbs <= tiers_[tier].max_limbs, "the key tier is too small for this level");
  const auto total = static_cast<std::size_t>(limbs + tiers_[tier].special);
  std::vector<const Digit*> plan;
  for (int d = 0; d * alpha < limbs; ++d) plan.push_back(&digit(tier, limbs, d));

  RnsPoly coefficients(poly.size());
  parallel_for(poly.size(), [&](std::size_t l) {
    const Digit& from = *plan[l / static_cast<std::size_t>(alpha)];
    coefficients[l] = ring_->limb();
    ring_->intt(coefficients[l].data(), poly[l].data(), l, from.conversion->input_factor(l - from.own.front()));
  });
  RaisedDigits out{limbs, tier, hoisted, {}, &poly};
  for (const Digit* d : plan) {
    RnsPoly& raised = out.digits.emplace_back(total);
    std::vector<const u64*> src;
    std::vector<u64*> dst;
    for (std::size_t j : d->own) src.push_back(coefficients[j].data());
    for (std::size_t j : d->others) {
      raised[j] = ring_->limb();
      dst.push_back(raised[j].data());
    }
    d->conversion->run(src, dst);
    for (std::size_t j : d->own) coefficients[j].reset();
  }
  if (!hoisted) return out;
  parallel_for(total, [&](std::size_t j) {
    for (RnsPoly& raised : out.digits)
      if (raised[j]) ring_->ntt(raised[j].data(), prime_of(j, limbs));
  });
  return out;
}

const SwitchingKey& KeySwitcher::key_for(const RaisedDigits& d, u64 galois_element) const {
  check(keys_ != nullptr, "this evaluator has no keys");
  return keys_->key({d.tier, galois_element});
}

KeySwitcher::Terms KeySwitcher::terms(const RaisedDigits& d, const SwitchingKey& key, std::size_t j) const {
  const auto limbs = static_cast<std::size_t>(d.limbs);
  const std::size_t at = j < limbs ? j : static_cast<std::size_t>(key.tier.max_limbs) + j - limbs;
  Terms t;
  check(d.digits.size() <= t.x.size(), "too many digits");
  t.count = d.digits.size();
  for (std::size_t k = 0; k < t.count; ++k) {
    t.x[k] = d.digits[k][j] ? d.digits[k][j].data() : (*d.input)[j].data();
    t.k0[k] = key.digits[k].b[at].data();
    t.k1[k] = key.digits[k].a[at].data();
  }
  return t;
}

KeySwitcher::Pair KeySwitcher::inner_product(const RaisedDigits& d, const SwitchingKey& key, std::size_t j) const {
  const Terms t = terms(d, key, j);
  Pair out{ring_->limb(), ring_->limb()};
  ring_->kernels().inner_product(out[0].data(), out[1].data(), t.x.data(), t.k0.data(), t.k1.data(), t.count,
                                 ring_->n(), ring_->modulus(prime_of(j, d.limbs)));
  return out;
}

// dropped_at(j) gives the limbs of both polynomials at a dropped position j; finish(l, plan, y) puts the quotients
// modulo prime l in the place of y[0] and y[1], which come as the transformed remainders. Each position is asked for
// once.
template <class Dropped, class Finish>
void KeySwitcher::mod_down_limbs(int limbs, int tier, bool rescale, const std::uint32_t* permutation,
                                 const Dropped& dropped_at, const Finish& finish, RnsPoly& c0, RnsPoly& c1) const {
  const ModDownConstants& plan = mod_down_constants(tier, limbs, rescale);
  const std::size_t kept = plan.kept;
  std::vector<Pair> dropped(plan.dropped.size());
  parallel_for(dropped.size(), [&](std::size_t k) {
    dropped[k] = dropped_at(kept + k, plan);
    for (Limb& x : dropped[k]) ring_->intt(x.data(), x.data(), plan.dropped[k], plan.conversion->input_factor(k));
  });
  RnsPoly* const out[] = {&c0, &c1};
  for (std::size_t p = 0; p < 2; ++p) {
    std::vector<const u64*> src;
    std::vector<u64*> dst;
    src.reserve(dropped.size());
    dst.reserve(kept);
    for (const Pair& x : dropped) src.push_back(x[p].data());
    out[p]->clear();
    for (std::size_t l = 0; l < kept; ++l) dst.push_back(out[p]->emplace_back(ring_->limb()).data());
    plan.conversion->run(src, dst);
  }
  dropped.clear();
  parallel_for(kept, [&](std::size_t l) {
    const std::array<u64*, 2> y = {c0[l].data(), c1[l].data()};
    for (u64* words : y) ring_->ntt(words, l);
    finish(l, plan, y);
    if (permutation == nullptr) return;
    for (RnsPoly* c : out) {
      Limb moved = ring_->limb();
      ring_->kernels().automorphism(moved.data(), (*c)[l].data(), permutation, ring_->n());
      (*c)[l] = std::move(moved);
    }
  });
}

void KeySwitcher::apply(RaisedDigits& d, u64 galois_element, const Ending& ending, RnsPoly& c0, RnsPoly& c1) const {
  const SwitchingKey& key = key_for(d, galois_element);
  const auto& kernels = ring_->kernels();
  const std::size_t n = ring_->n();
  const std::array<const RnsPoly*, 2> join = {ending.join0, ending.join1};
  check((join[0] == nullptr) == (join[1] == nullptr) && (join[0] == nullptr || ending.add == nullptr),
        "a key switch ends with a joined product or with a sum");
  check(d.hoisted || !d.digits.front().empty(), "this decomposition has been used");
  const auto transform = [&](std::size_t j) {
    if (d.hoisted) return;
    for (RnsPoly& digit : d.digits)
      if (digit[j]) ring_->ntt(digit[j].data(), prime_of(j, d.limbs));
  };
  const auto release = [&](std::size_t j) {
    if (d.hoisted) return;
    for (RnsPoly& digit : d.digits) digit[j].reset();
  };
  const auto dropped_at = [&](std::size_t j, const ModDownConstants& plan) {
    transform(j);
    Pair x = inner_product(d, key, j);
    release(j);
    if (j < static_cast<std::size_t>(d.limbs) && join[0] != nullptr)
      for (std::size_t p = 0; p < 2; ++p)
        kernels.mul_scalar_add(x[p].data(), (*join[p])[j].data(), plan.special_product[j], x[p].data(), n,
                               ring_->modulus(j));
    return x;
  };
  const auto finish = [&](std::size_t l, const ModDownConstants& plan, const std::array<u64*, 2>& y) {
    transform(l);
    const Terms t = terms(d, key, l);
    simd::SwitchEnd end{.x = t.x.data(),
                        .k0 = t.k0.data(),
                        .k1 = t.k1.data(),
                        .terms = t.count,
                        .y = {y[0], y[1]},
                        .inverse = plan.inverse[l]};
    if (join[0] != nullptr) {
      for (std::size_t p = 0; p < 2; ++p) end.d[p] = (*join[p])[l].data();
      end.factor = ring::mul_mod(plan.special_product[l], plan.inverse[l], ring_->prime(l));
    } else if (ending.add != nullptr) {
      end.d[0] = (*ending.add)[l].data();
      end.factor = 1;
    }
    kernels.switch_end(end, n, ring_->modulus(l));
    release(l);
  };
  mod_down_limbs(d.limbs, d.tier, ending.rescale, ending.permutation, dropped_at, finish, c0, c1);
  if (!d.hoisted)
    for (RnsPoly& digit : d.digits) digit.clear();
}

Extended KeySwitcher::switch_digits(const RaisedDigits& d, u64 galois_element) const {
  check(d.hoisted, "only a hoisted decomposition serves sums");
  const SwitchingKey& key = key_for(d, galois_element);
  const auto total = static_cast<std::size_t>(d.limbs + key.tier.special);
  Extended out{d.limbs, d.tier, RnsPoly(total), RnsPoly(total)};
  parallel_for(total, [&](std::size_t j) {
    Pair x = inner_product(d, key, j);
    out.c0[j] = std::move(x[0]);
    out.c1[j] = std::move(x[1]);
  });
  return out;
}

// x += limb j of P c0.
void KeySwitcher::add_raised(const RaisedDigits& d, const RnsPoly& c0, std::size_t j, Limb& x) const {
  if (j >= c0.size()) return;
  const u64 factor = mod_down_constants(d.tier, d.limbs, false).special_product[j];
  ring_->kernels().mul_scalar_add(x.data(), c0[j].data(), factor, x.data(), ring_->n(), ring_->modulus(j));
}

// Limb by limb, while they are in cache: the inner product, then add_first(j, x[0]) adds what belongs to the first
// polynomial, then take(j, x) gets limb j of both, permuted.
template <class AddFirst, class Take>
void KeySwitcher::rotate_limbs(const RaisedDigits& d, u64 galois_element, const AddFirst& add_first,
                               const Take& take) const {
  check(d.hoisted, "only a hoisted decomposition serves sums");
  const std::size_t n = ring_->n();
  const SwitchingKey* key = galois_element == 1 ? nullptr : &key_for(d, galois_element);
  const std::uint32_t* permutation = galois_element == 1 ? nullptr : ring_->automorphism(galois_element);
  parallel_for(static_cast<std::size_t>(d.limbs + special(d.tier)), [&](std::size_t j) {
    Pair x;
    if (key != nullptr) {
      x = inner_product(d, *key, j);
    } else {
      for (Limb& y : x) std::memset((y = ring_->limb()).data(), 0, n * sizeof(u64));
      add_raised(d, *d.input, j, x[1]);
    }
    add_first(j, x[0]);
    if (permutation != nullptr) {
      for (Limb& y : x) {
        Limb moved = ring_->limb();
        ring_->kernels().automorphism(moved.data(), y.data(), permutation, n);
        y = std::move(moved);
      }
    }
    take(j, x);
  });
}

RaisedRotation KeySwitcher::rotate_raised(const RaisedDigits& d, const RnsPoly& c0, u64 galois_element) const {
  const std::size_t total = static_cast<std::size_t>(d.limbs + special(d.tier));
  RaisedRotation out{ring::PackedPoly(total), ring::PackedPoly(total)};
  rotate_limbs(
      d, galois_element, [&](std::size_t j, Limb& x) { add_raised(d, c0, j, x); },
      [&](std::size_t j, const Pair& x) {
        out.c0[j] = ring_->pack(x[0].data());
        out.c1[j] = ring_->pack(x[1].data());
      });
  return out;
}

// x += y at limb j.
void KeySwitcher::add_limbs(Extended& x, std::size_t j, const Pair& y) const {
  const auto& m = ring_->modulus(prime_of(j, x.limbs));
  ring_->kernels().add(x.c0[j].data(), x.c0[j].data(), y[0].data(), ring_->n(), m);
  ring_->kernels().add(x.c1[j].data(), x.c1[j].data(), y[1].data(), ring_->n(), m);
}

void KeySwitcher::add_rotated(const RaisedDigits& d, const RnsPoly& c0, u64 galois_element, Extended& x) const {
  check(x.limbs == d.limbs && x.tier == d.tier, "sums of key switches are at different levels");
  rotate_limbs(
      d, galois_element, [&](std::size_t j, Limb& y) { add_raised(d, c0, j, y); },
      [&](std::size_t j, const Pair& y) { add_limbs(x, j, y); });
}

void KeySwitcher::add_rotated(Extended y, u64 galois_element, Extended& x) const {
  check(x.limbs == y.limbs && x.tier == y.tier, "sums of key switches are at different levels");
  const RnsPoly c1 = divide(std::move(y.c1), y.limbs, y.tier, false);
  const RaisedDigits d = mod_up(c1, y.tier, true);
  rotate_limbs(
      d, galois_element,
      [&](std::size_t j, Limb& z) {
        ring_->kernels().add(z.data(), z.data(), y.c0[j].data(), ring_->n(), ring_->modulus(prime_of(j, y.limbs)));
        y.c0[j].reset();
      },
      [&](std::size_t j, const Pair& z) { add_limbs(x, j, z); });
}

RaisedDigits KeySwitcher::mod_raise_digit(const RnsPoly& poly, int limbs) const {
  check(poly.size() == 1, "only polynomials of one limb are raised");
  const int tier = tier_for(limbs);
  const auto total = static_cast<std::size_t>(limbs + special(tier));
  std::vector<std::size_t> to;
  for (std::size_t j = 1; j < total; ++j) to.push_back(prime_of(j, limbs));
  const ring::BasisConversion conversion(*ring_, {0}, to, true);
  RaisedDigits out{limbs, tier, true, {}, nullptr};
  RnsPoly& raised = out.digits.emplace_back();
  for (std::size_t j = 0; j < total; ++j) raised.push_back(ring_->limb());
  Limb coefficients = ring_->limb();
  ring_->intt(coefficients.data(), poly[0].data(), 0, conversion.input_factor(0));
  std::memcpy(raised[0].data(), poly[0].data(), ring_->n() * sizeof(u64));
  std::vector<u64*> dst;
  for (std::size_t j = 1; j < total; ++j) dst.push_back(raised[j].data());
  const u64* const src[] = {coefficients.data()};
  conversion.run(src, dst);
  parallel_for(total - 1, [&](std::size_t j) { ring_->ntt(raised[j + 1].data(), to[j]); });
  return out;
}

// ModDown of one polynomial.
RnsPoly KeySwitcher::divide(RnsPoly x, int limbs, int tier, bool rescale) const {
  const ModDownConstants& plan = mod_down_constants(tier, limbs, rescale);
  const std::size_t kept = plan.kept;
  parallel_for(plan.dropped.size(), [&](std::size_t k) {
    u64* y = x[kept + k].data();
    ring_->intt(y, y, plan.dropped[k], plan.conversion->input_factor(k));
  });
  RnsPoly out;
  std::vector<const u64*> src;
  std::vector<u64*> dst;
  for (std::size_t k = 0; k < plan.dropped.size(); ++k) src.push_back(x[kept + k].data());
  for (std::size_t l = 0; l < kept; ++l) dst.push_back(out.emplace_back(ring_->limb()).data());
  plan.conversion->run(src, dst);
  x.resize(kept);
  parallel_for(kept, [&](std::size_t l) {
    u64* y = out[l].data();
    ring_->ntt(y, l);
    ring_->kernels().sub_mul_scalar(y, x[l].data(), y, plan.inverse[l], ring_->n(), ring_->modulus(l));
    x[l].reset();
  });
  return out;
}

void KeySwitcher::mod_down(Extended x, bool rescale, const RnsPoly* add, RnsPoly& c0, RnsPoly& c1) const {
  c0 = divide(std::move(x.c0), x.limbs, x.tier, rescale);
  c1 = divide(std::move(x.c1), x.limbs, x.tier, rescale);
  if (add == nullptr) return;
  parallel_for(c0.size(), [&](std::size_t l) {
    ring_->kernels().add(c0[l].data(), c0[l].data(), (*add)[l].data(), ring_->n(), ring_->modulus(l));
  });
}

}  // namespace sotto::ckks
