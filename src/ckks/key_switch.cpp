#include "ckks/key_switch.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/limbs.h"
#include "ring/primes.h"

namespace sotto::ckks {

using ring::Limb;
using ring::RnsPoly;
using u64 = std::uint64_t;

// Limb positions count the ciphertext's limbs first, absent ones too, then the special primes.
struct KeySwitcher::Digit {
  std::vector<std::size_t> own, others;
  std::unique_ptr<ring::BasisConversion> conversion;
};

// A division of x by D after a multiplication by M, the products of the primes which leave and join the modulus.
struct KeySwitcher::ModDownConstants {
  std::vector<std::size_t> dropped;  // positions
  std::vector<std::size_t> primes;   // of these, in the ring
  std::vector<u64> input_factor;     // of the inverse transforms of these
  std::size_t limbs = 0;             // of the result, absent ones counted
  std::vector<std::size_t> kept;     // limbs of the result
  // From M x modulo D to its negated quotient modulo the primes that join, and over M modulo the others.
  std::unique_ptr<ring::BasisConversion> conversion;
  std::vector<u64> factor;           // M / D, by limb of the result; 0 for those that join
  std::vector<u64> special_product;  // of the special primes, by limb of x
};

// Prepared at first use: digits by (tier, level, digit), divisions by (tier, level, level of the result).
struct KeySwitcher::Conversions {
  using LevelKey = std::pair<int, int>;
  static LevelKey key(const Level& level) { return {level.limbs, level.absent}; }

  std::mutex mutex;
  std::map<std::tuple<int, LevelKey, int>, Digit> digits;
  std::map<std::tuple<int, LevelKey, LevelKey>, ModDownConstants> divisions;
};

KeySwitcher::KeySwitcher(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring,
                         std::vector<KeyTier> tiers, KeyProvider* keys)
    : parameters_(parameters),
      ring_(std::move(ring)),
      tiers_(std::move(tiers)),
      keys_(keys),
      conversions_(std::make_unique<Conversions>()) {}

KeySwitcher::~KeySwitcher() = default;

int KeySwitcher::tier_for(const Level& level) const {
  const int tier = ckks::tier_for(tiers_, level.limbs);
  check(tier >= 0, "no key tier serves this level");
  return tier;
}

int KeySwitcher::ephemeral_tier() const {
  const int tier = ckks::ephemeral_tier(tiers_);
  check(tier >= 0, "there is no tier for the ephemeral secret");
  return tier;
}

std::size_t KeySwitcher::prime_of(std::size_t j, const Level& level) const {
  const auto l = static_cast<std::size_t>(level.limbs);
  return j < l ? j : static_cast<std::size_t>(parameters_.spec().ciphertext_primes) + j - l;
}

const KeySwitcher::Digit& KeySwitcher::digit(int tier, const Level& level, int d) const {
  const std::lock_guard lock(conversions_->mutex);
  const std::tuple key{tier, Conversions::key(level), d};
  if (const auto known = conversions_->digits.find(key); known != conversions_->digits.end()) return known->second;
  Digit entry;
  std::vector<std::size_t> from, to;
  for (int j = level.absent; j < level.limbs + tiers_[tier].special; ++j) {
    const bool own = j < level.limbs && tiers_[tier].digit_of(j) == d;
    const auto position = static_cast<std::size_t>(j);
    (own ? entry.own : entry.others).push_back(position);
    (own ? from : to).push_back(prime_of(position, level));
  }
  entry.conversion = std::make_unique<ring::BasisConversion>(*ring_, from, to, false);
  return conversions_->digits.emplace(key, std::move(entry)).first->second;
}

const KeySwitcher::ModDownConstants& KeySwitcher::mod_down_constants(int tier, const Level& from,
                                                                     const Level& to) const {
  const std::lock_guard lock(conversions_->mutex);
  const std::tuple key{tier, Conversions::key(from), Conversions::key(to)};
  if (const auto known = conversions_->divisions.find(key); known != conversions_->divisions.end())
    return known->second;
  ModDownConstants entry;
  check(to.count() >= 1 && to.limbs <= from.limbs, "no level is left to divide");
  const int special = tier < 0 ? 0 : tiers_[tier].special;
  std::vector<std::size_t> joining, kept;  // primes of the ring
  for (int j = from.absent; j < from.limbs + special; ++j) {
    if (to.has(j)) continue;
    entry.dropped.push_back(static_cast<std::size_t>(j));
    entry.primes.push_back(prime_of(entry.dropped.back(), from));
  }
  for (int j = to.absent; j < to.limbs; ++j) {
    entry.kept.push_back(static_cast<std::size_t>(j));
    if (!from.has(j)) joining.push_back(entry.kept.back());
  }
  const auto product = [&](std::span<const std::size_t> primes, u64 p) {
    u64 result = 1;
    for (std::size_t i : primes) result = ring::mul_mod(result, ring_->prime(i) % p, p);
    return result;
  };
  entry.limbs = static_cast<std::size_t>(to.limbs);
  entry.factor.resize(entry.limbs);
  std::vector<u64> output_factor;
  for (std::size_t l : entry.kept) {
    const u64 p = ring_->prime(l), inverse = ring::inverse_mod(product(entry.primes, p), p);
    if (const u64 joined = product(joining, p); joined != 0) {
      entry.factor[l] = ring::mul_mod(joined, inverse, p);
      output_factor.push_back(ring::inverse_mod(joined, p));
    } else {
      output_factor.push_back(p - inverse);
    }
  }
  const std::size_t ciphertext_dropped = entry.dropped.size() - static_cast<std::size_t>(special);
  for (int j = 0; j < from.limbs; ++j)
    entry.special_product.push_back(
        product(std::span(entry.primes).subspan(ciphertext_dropped), ring_->prime(static_cast<std::size_t>(j))));
  entry.conversion = std::make_unique<ring::BasisConversion>(*ring_, entry.primes, entry.kept, true, output_factor);
  for (std::size_t k = 0; k < entry.primes.size(); ++k) {
    const u64 p = ring_->prime(entry.primes[k]);
    entry.input_factor.push_back(ring::mul_mod(entry.conversion->input_factor(k), product(joining, p), p));
  }
  return conversions_->divisions.emplace(key, std::move(entry)).first->second;
}

// The input stays transformed for its own limbs; the others come from the coefficients.
RaisedDigits KeySwitcher::mod_up(const RnsPoly& poly, int tier, bool hoisted) const {
  const Level level = level_of(poly);
  const KeyTier& t = tiers_[tier];
  check(level.limbs <= t.max_limbs, "the key tier is too small for this level");
  const auto total = static_cast<std::size_t>(level.limbs + t.special);
  const int first = t.digit_of(level.absent);
  std::vector<const Digit*> plan;
  for (int d = 0; d < t.digits(level); ++d) plan.push_back(&digit(tier, level, first + d));

  RnsPoly coefficients(poly.size());
  parallel_for_limbs(level, [&](std::size_t l) {
    const Digit& from = *plan[static_cast<std::size_t>(t.digit_of(static_cast<int>(l)) - first)];
    coefficients[l] = ring_->limb();
    ring_->intt(coefficients[l].data(), poly[l].data(), l, from.conversion->input_factor(l - from.own.front()));
  });
  RaisedDigits out{level, tier, hoisted, {}, &poly};
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
  parallel_for_limbs({level.limbs + t.special, level.absent}, [&](std::size_t j) {
    for (RnsPoly& raised : out.digits)
      if (raised[j]) ring_->ntt(raised[j].data(), prime_of(j, level));
  });
  return out;
}

const SwitchingKey& KeySwitcher::key_for(const RaisedDigits& d, u64 galois_element) const {
  check(keys_ != nullptr, "this evaluator has no keys");
  return keys_->key({d.tier, galois_element});
}

KeySwitcher::Terms KeySwitcher::terms(const RaisedDigits& d, const SwitchingKey& key, std::size_t j) const {
  const auto limbs = static_cast<std::size_t>(d.level.limbs);
  const auto first = static_cast<std::size_t>(key.tier.digit_of(d.level.absent));
  const std::size_t at = j < limbs ? j : static_cast<std::size_t>(key.tier.max_limbs) + j - limbs;
  Terms t;
  check(d.digits.size() <= t.x.size(), "too many digits");
  t.count = d.digits.size();
  for (std::size_t k = 0; k < t.count; ++k) {
    t.x[k] = d.digits[k][j] ? d.digits[k][j].data() : (*d.input)[j].data();
    t.k0[k] = key.digits[first + k].b[at].data();
    t.k1[k] = key.digits[first + k].a[at].data();
  }
  return t;
}

KeySwitcher::Pair KeySwitcher::inner_product(const RaisedDigits& d, const SwitchingKey& key, std::size_t j) const {
  const Terms t = terms(d, key, j);
  Pair out{ring_->limb(), ring_->limb()};
  ring_->kernels().inner_product(out[0].data(), out[1].data(), t.x.data(), t.k0.data(), t.k1.data(), t.count,
                                 ring_->n(), ring_->modulus(prime_of(j, d.level)));
  return out;
}

// dropped_at(j) gives the limbs of both polynomials at a dropped position j; finish(l, y) puts the quotients modulo
// prime l in the place of y[0] and y[1], which come as the transformed remainders over M. Each position is asked for
// once.
template <class Dropped, class Finish>
void KeySwitcher::mod_down_limbs(const ModDownConstants& plan, const std::uint32_t* permutation,
                                 const Dropped& dropped_at, const Finish& finish, RnsPoly& c0, RnsPoly& c1) const {
  std::vector<Pair> dropped(plan.dropped.size());
  parallel_for(dropped.size(), [&](std::size_t k) {
    dropped[k] = dropped_at(plan.dropped[k]);
    for (Limb& x : dropped[k]) ring_->intt(x.data(), x.data(), plan.primes[k], plan.input_factor[k]);
  });
  RnsPoly* const out[] = {&c0, &c1};
  for (std::size_t p = 0; p < 2; ++p) {
    std::vector<const u64*> src;
    std::vector<u64*> dst;
    for (const Pair& x : dropped) src.push_back(x[p].data());
    *out[p] = RnsPoly(plan.limbs);
    for (std::size_t l : plan.kept) {
      (*out[p])[l] = ring_->limb();
      dst.push_back((*out[p])[l].data());
    }
    plan.conversion->run(src, dst);
  }
  dropped.clear();
  parallel_for(plan.kept.size(), [&](std::size_t k) {
    const std::size_t l = plan.kept[k];
    const std::array<u64*, 2> y = {c0[l].data(), c1[l].data()};
    for (u64* words : y) ring_->ntt(words, l);
    if (plan.factor[l] != 0) finish(l, y);
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
  const ModDownConstants& plan = mod_down_constants(d.tier, d.level, ending.to.value_or(d.level));
  const auto& kernels = ring_->kernels();
  const std::size_t n = ring_->n();
  const std::array<const RnsPoly*, 2> join = {ending.join0, ending.join1};
  check((join[0] == nullptr) == (join[1] == nullptr) && (join[0] == nullptr || ending.add == nullptr),
        "a key switch ends with a joined product or with a sum");
  check(!ending.to || ending.add == nullptr, "a sum is added at the level of a key switch");
  check(d.hoisted || !d.digits.front().empty(), "this decomposition has been used");
  const auto transform = [&](std::size_t j) {
    if (d.hoisted) return;
    for (RnsPoly& digit : d.digits)
      if (digit[j]) ring_->ntt(digit[j].data(), prime_of(j, d.level));
  };
  const auto release = [&](std::size_t j) {
    if (d.hoisted) return;
    for (RnsPoly& digit : d.digits) digit[j].reset();
  };
  const auto dropped_at = [&](std::size_t j) {
    transform(j);
    Pair x = inner_product(d, key, j);
    release(j);
    if (j < static_cast<std::size_t>(d.level.limbs) && join[0] != nullptr)
      for (std::size_t p = 0; p < 2; ++p)
        kernels.mul_scalar_add(x[p].data(), (*join[p])[j].data(), plan.special_product[j], x[p].data(), n,
                               ring_->modulus(j));
    return x;
  };
  const auto finish = [&](std::size_t l, const std::array<u64*, 2>& y) {
    transform(l);
    const Terms t = terms(d, key, l);
    simd::SwitchEnd end{.x = t.x.data(),
                        .k0 = t.k0.data(),
                        .k1 = t.k1.data(),
                        .terms = t.count,
                        .y = {y[0], y[1]},
                        .inverse = plan.factor[l]};
    if (join[0] != nullptr) {
      for (std::size_t p = 0; p < 2; ++p) end.d[p] = (*join[p])[l].data();
      end.factor = ring::mul_mod(plan.special_product[l], plan.factor[l], ring_->prime(l));
    } else if (ending.add != nullptr) {
      end.d[0] = (*ending.add)[l].data();
      end.factor = 1;
    }
    kernels.switch_end(end, n, ring_->modulus(l));
    release(l);
  };
  mod_down_limbs(plan, ending.permutation, dropped_at, finish, c0, c1);
  if (!d.hoisted)
    for (RnsPoly& digit : d.digits) digit.clear();
}

Extended KeySwitcher::switch_digits(const RaisedDigits& d, u64 galois_element) const {
  check(d.hoisted, "only a hoisted decomposition serves sums");
  const SwitchingKey& key = key_for(d, galois_element);
  const Level extended{d.level.limbs + key.tier.special, d.level.absent};
  const auto total = static_cast<std::size_t>(extended.limbs);
  Extended out{d.level, d.tier, RnsPoly(total), RnsPoly(total)};
  parallel_for_limbs(extended, [&](std::size_t j) {
    Pair x = inner_product(d, key, j);
    out.c0[j] = std::move(x[0]);
    out.c1[j] = std::move(x[1]);
  });
  return out;
}

// x += limb j of P c0.
void KeySwitcher::add_raised(const RaisedDigits& d, const RnsPoly& c0, std::size_t j, Limb& x) const {
  if (j >= c0.size()) return;
  const u64 factor = mod_down_constants(d.tier, d.level, d.level).special_product[j];
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
  parallel_for_limbs({d.level.limbs + special(d.tier), d.level.absent}, [&](std::size_t j) {
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
  const std::size_t total = static_cast<std::size_t>(d.level.limbs + special(d.tier));
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
  const auto& m = ring_->modulus(prime_of(j, x.level));
  ring_->kernels().add(x.c0[j].data(), x.c0[j].data(), y[0].data(), ring_->n(), m);
  ring_->kernels().add(x.c1[j].data(), x.c1[j].data(), y[1].data(), ring_->n(), m);
}

void KeySwitcher::add_rotated(const RaisedDigits& d, const RnsPoly& c0, u64 galois_element, Extended& x) const {
  check(x.level == d.level && x.tier == d.tier, "sums of key switches are at different levels");
  rotate_limbs(
      d, galois_element, [&](std::size_t j, Limb& y) { add_raised(d, c0, j, y); },
      [&](std::size_t j, const Pair& y) { add_limbs(x, j, y); });
}

void KeySwitcher::add_rotated(Extended y, u64 galois_element, Extended& x) const {
  check(x.level == y.level && x.tier == y.tier, "sums of key switches are at different levels");
  const RnsPoly c1 = divide(std::move(y.c1), y.level, y.tier, y.level);
  const RaisedDigits d = mod_up(c1, y.tier, true);
  rotate_limbs(
      d, galois_element,
      [&](std::size_t j, Limb& z) {
        ring_->kernels().add(z.data(), z.data(), y.c0[j].data(), ring_->n(), ring_->modulus(prime_of(j, y.level)));
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
RnsPoly KeySwitcher::divide(RnsPoly x, const Level& from, int tier, const Level& to) const {
  const ModDownConstants& plan = mod_down_constants(tier, from, to);
  parallel_for(plan.dropped.size(), [&](std::size_t k) {
    u64* y = x[plan.dropped[k]].data();
    ring_->intt(y, y, plan.primes[k], plan.input_factor[k]);
  });
  RnsPoly out(plan.limbs);
  std::vector<const u64*> src;
  std::vector<u64*> dst;
  for (std::size_t j : plan.dropped) src.push_back(x[j].data());
  for (std::size_t l : plan.kept) {
    out[l] = ring_->limb();
    dst.push_back(out[l].data());
  }
  plan.conversion->run(src, dst);
  for (std::size_t j : plan.dropped) x[j].reset();
  parallel_for(plan.kept.size(), [&](std::size_t k) {
    const std::size_t l = plan.kept[k];
    u64* y = out[l].data();
    ring_->ntt(y, l);
    if (plan.factor[l] == 0) return;
    ring_->kernels().sub_mul_scalar(y, x[l].data(), y, plan.factor[l], ring_->n(), ring_->modulus(l));
    x[l].reset();
  });
  return out;
}

void KeySwitcher::mod_down(Extended x, const Level& to, const RnsPoly* add, RnsPoly& c0, RnsPoly& c1) const {
  c0 = divide(std::move(x.c0), x.level, x.tier, to);
  c1 = divide(std::move(x.c1), x.level, x.tier, to);
  if (add == nullptr) return;
  parallel_for_limbs(to, [&](std::size_t l) {
    ring_->kernels().add(c0[l].data(), c0[l].data(), (*add)[l].data(), ring_->n(), ring_->modulus(l));
  });
}

}  // namespace sotto::ckks
