#include "ckks/evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/primes.h"

namespace sotto::ckks {

using ring::Limb;
using ring::RnsPoly;
using u64 = std::uint64_t;

namespace {

void copy_limb(const ring::Ring& ring, u64* dst, const u64* src) { std::memcpy(dst, src, ring.n() * sizeof(u64)); }

void check_match(const Ciphertext& a, const Level& level, double scale) {
  check(a.level() == level, "operands are at different levels");
  check(std::abs(a.scale / scale - 1) < 0x1p-20, "operands have different scales");
}

}  // namespace

Evaluator::Evaluator(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring, std::vector<KeyTier> tiers,
                     KeyProvider* keys)
    : parameters_(parameters), ring_(std::move(ring)), switcher_(parameters, ring_, std::move(tiers), keys) {}

Ciphertext Evaluator::add(const Ciphertext& a, const Ciphertext& b) const {
  check_match(a, b.level(), b.scale);
  Ciphertext out{make_poly(*ring_, a.level()), make_poly(*ring_, a.level()), a.scale};
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    ring_->kernels().add(out.c0[l].data(), a.c0[l].data(), b.c0[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().add(out.c1[l].data(), a.c1[l].data(), b.c1[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::sub(const Ciphertext& a, const Ciphertext& b) const {
  check_match(a, b.level(), b.scale);
  Ciphertext out{make_poly(*ring_, a.level()), make_poly(*ring_, a.level()), a.scale};
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    ring_->kernels().sub(out.c0[l].data(), a.c0[l].data(), b.c0[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().sub(out.c1[l].data(), a.c1[l].data(), b.c1[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::add_plain(const Ciphertext& a, const Plaintext& p) const {
  check(p.level().covers(a.level()), "plaintext has too few limbs");
  check_match(a, a.level(), p.scale);
  Ciphertext out = drop_to(a, a.level());
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    ring_->kernels().add(out.c0[l].data(), a.c0[l].data(), p.poly[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::multiply_plain(const Ciphertext& a, const Plaintext& p) const {
  check(p.level().covers(a.level()), "plaintext has too few limbs");
  Ciphertext out{make_poly(*ring_, a.level()), make_poly(*ring_, a.level()), a.scale * p.scale};
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    ring_->kernels().mul(out.c0[l].data(), a.c0[l].data(), p.poly[l].data(), ring_->n(), ring_->modulus(l));
    ring_->kernels().mul(out.c1[l].data(), a.c1[l].data(), p.poly[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::multiply_scalar(const Ciphertext& a, double value, double scale) const {
  const double rounded = std::nearbyint(value * scale);
  Ciphertext out{make_poly(*ring_, a.level()), make_poly(*ring_, a.level()), a.scale * scale};
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    const u64 c = ring::residue_of(rounded, ring_->prime(l));
    ring_->kernels().mul_scalar_add(out.c0[l].data(), a.c0[l].data(), c, nullptr, ring_->n(), ring_->modulus(l));
    ring_->kernels().mul_scalar_add(out.c1[l].data(), a.c1[l].data(), c, nullptr, ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::add_scalar(Ciphertext a, double value) const {
  const double rounded = std::nearbyint(value * a.scale);
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    const u64 q = ring_->prime(l), c = ring::residue_of(rounded, q);
    u64* x = a.c0[l].data();
    for (std::size_t i = 0; i < ring_->n(); ++i) {
      const u64 sum = x[i] + c;
      x[i] = sum >= q ? sum - q : sum;
    }
  });
  return a;
}

Ciphertext Evaluator::drop_to(const Ciphertext& a, const Level& level) const {
  check(level.count() >= 1 && a.level().covers(level), "cannot drop to this level");
  Ciphertext out{make_poly(*ring_, level), make_poly(*ring_, level), a.scale};
  parallel_for_limbs(level, [&](std::size_t l) {
    copy_limb(*ring_, out.c0[l].data(), a.c0[l].data());
    copy_limb(*ring_, out.c1[l].data(), a.c1[l].data());
  });
  return out;
}

double Evaluator::divisor(const Level& from, const Level& to) const {
  return ckks::divisor(parameters_.primes(), from, to);
}

Ciphertext Evaluator::rescale(Ciphertext a) const {
  const Level level = a.level();
  return rescale(std::move(a), {level.limbs - 1, level.absent});
}

Ciphertext Evaluator::rescale(Ciphertext a, const Level& to) const {
  const Level from = a.level();
  Ciphertext out;
  out.scale = a.scale / divisor(from, to);
  switcher_.mod_down({from, -1, std::move(a.c0), std::move(a.c1)}, to, nullptr, out.c0, out.c1);
  return out;
}

// (d0, d1) joins at the scale of the special primes, so that one division serves relinearisation and rescaling.
Ciphertext Evaluator::relinearise(const RnsPoly& d0, const RnsPoly& d1, const RnsPoly& d2, double scale,
                                  const Level& to) const {
  const Level from = level_of(d0);
  RaisedDigits d = switcher_.mod_up(d2, switcher_.tier_for(from), false);
  Ciphertext out;
  switcher_.apply(d, kRelinearise, {.to = to, .join0 = &d0, .join1 = &d1}, out.c0, out.c1);
  out.scale = scale / divisor(from, to);
  return out;
}

Ciphertext Evaluator::multiply(const Ciphertext& a, const Ciphertext& b) const {
  const Level level = a.level();
  return multiply(a, b, {level.limbs - 1, level.absent});
}

Ciphertext Evaluator::multiply(const Ciphertext& a, const Ciphertext& b, const Level& to) const {
  const Level level = a.level();
  check(level == b.level(), "operands are at different levels");
  RnsPoly d0 = make_poly(*ring_, a.level()), d1 = make_poly(*ring_, a.level()), d2 = make_poly(*ring_, a.level());
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    const auto& m = ring_->modulus(l);
    const auto& k = ring_->kernels();
    k.mul(d1[l].data(), a.c0[l].data(), b.c1[l].data(), ring_->n(), m);
    k.mul(d0[l].data(), a.c1[l].data(), b.c0[l].data(), ring_->n(), m);
    k.add(d1[l].data(), d1[l].data(), d0[l].data(), ring_->n(), m);
    k.mul(d0[l].data(), a.c0[l].data(), b.c0[l].data(), ring_->n(), m);
    k.mul(d2[l].data(), a.c1[l].data(), b.c1[l].data(), ring_->n(), m);
  });
  return relinearise(d0, d1, d2, a.scale * b.scale, to);
}

Ciphertext Evaluator::square(Ciphertext a) const {
  const Level level = a.level();
  return square(std::move(a), {level.limbs - 1, level.absent});
}

Ciphertext Evaluator::square(Ciphertext a, const Level& to) const {
  RnsPoly d2 = make_poly(*ring_, a.level());
  parallel_for_limbs(a.level(), [&](std::size_t l) {
    ring_->kernels().square(a.c0[l].data(), a.c1[l].data(), d2[l].data(), a.c0[l].data(), a.c1[l].data(), ring_->n(),
                            ring_->modulus(l));
  });
  return relinearise(a.c0, a.c1, d2, a.scale * a.scale, to);
}

Ciphertext Evaluator::apply(const Ciphertext& a, RaisedDigits& d, u64 galois_element) const {
  Ciphertext out;
  out.scale = a.scale;
  switcher_.apply(d, galois_element, {.add = &a.c0, .permutation = ring_->automorphism(galois_element)}, out.c0,
                  out.c1);
  return out;
}

Ciphertext Evaluator::rotate(const Ciphertext& a, std::int64_t steps) const {
  const std::int64_t one[] = {steps};
  return std::move(rotate_many(a, one).front());
}

Ciphertext Evaluator::conjugate(const Ciphertext& a) const {
  check(!ring_->conjugate_invariant(), "the slots of this ring are real");
  RaisedDigits d = switcher_.mod_up(a.c1, switcher_.tier_for(a.level()), false);
  return apply(a, d, ring_->cyclotomic_order() - 1);
}

std::vector<Ciphertext> Evaluator::rotate_many(const Ciphertext& a, std::span<const std::int64_t> steps) const {
  std::vector<Ciphertext> out;
  rotate_each(a, steps, [&](std::size_t, Ciphertext c) { out.push_back(std::move(c)); });
  return out;
}

void Evaluator::rotate_each(const Ciphertext& a, std::span<const std::int64_t> steps,
                            const std::function<void(std::size_t, Ciphertext)>& done) const {
  const auto moves =
      std::count_if(steps.begin(), steps.end(), [&](std::int64_t s) { return ring_->rotation_galois_element(s) != 1; });
  RaisedDigits d;
  if (moves > 0) d = switcher_.mod_up(a.c1, switcher_.tier_for(a.level()), moves > 1);
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const u64 g = ring_->rotation_galois_element(steps[k]);
    done(k, g == 1 ? drop_to(a, a.level()) : apply(a, d, g));
  }
}

Extended Evaluator::empty_sum(const Level& level) const {
  const int tier = switcher_.tier_for(level);
  const Level extended{level.limbs + switcher_.special(tier), level.absent};
  Extended sum{level, tier, make_poly(*ring_, extended), make_poly(*ring_, extended)};
  for (RnsPoly* poly : {&sum.c0, &sum.c1})
    for (Limb& limb : *poly)
      if (limb) std::memset(limb.data(), 0, ring_->n() * sizeof(u64));
  return sum;
}

void Evaluator::add_rotated(const Ciphertext& a, std::int64_t steps, Extended& sum) const {
  check(a.level() == sum.level, "operands are at different levels");
  const u64 g = ring_->rotation_galois_element(steps);
  const RaisedDigits d =
      g == 1 ? RaisedDigits{sum.level, sum.tier, true, {}, &a.c1} : switcher_.mod_up(a.c1, sum.tier, true);
  switcher_.add_rotated(d, a.c0, g, sum);
}

Ciphertext Evaluator::divided(Extended sum, double scale) const {
  Ciphertext out;
  out.scale = scale;
  const Level level = sum.level;
  switcher_.mod_down(std::move(sum), level, nullptr, out.c0, out.c1);
  return out;
}

Ciphertext Evaluator::rotate_join(std::span<const PackedCiphertext* const> list, std::span<const std::int64_t> steps,
                                  const Level& level) const {
  Extended sum = empty_sum(level);
  for (std::size_t k = 0; k < list.size(); ++k) add_rotated(unpack(*ring_, *list[k], level), steps[k], sum);
  return divided(std::move(sum), list.front()->scale);
}

Ciphertext Evaluator::rotate_sum(const Ciphertext& a, std::span<const std::int64_t> steps) const {
  if (steps.empty()) return drop_to(a, a.level());
  const Level level = a.level();
  const int tier = switcher_.tier_for(level);
  const std::size_t limbs = a.c0.size();
  const RaisedDigits d = switcher_.mod_up(a.c1, tier, true);
  RnsPoly sum0 = drop_to(a, a.level()).c0;
  Extended total;
  for (std::int64_t s : steps) {
    const u64 g = ring_->rotation_galois_element(s);
    check(g != 1, "rotate_sum: a rotation by zero");
    Extended e = switcher_.switch_digits(d, g);
    // Permute in the extended basis; the plain part c0 is permuted and added unscaled.
    const std::uint32_t* table = ring_->automorphism(g);
    if (total.c0.empty()) total = {level, e.tier, RnsPoly(e.c0.size()), RnsPoly(e.c0.size())};
    parallel_for_limbs(level_of(e.c0), [&](std::size_t j) {
      const auto& k = ring_->kernels();
      const auto& m = ring_->modulus(switcher_.prime_of(j, level));
      const auto accumulate = [&](const Limb& from, Limb& to) {
        Limb moved = ring_->limb();
        k.automorphism(moved.data(), from.data(), table, ring_->n());
        if (to) k.add(moved.data(), moved.data(), to.data(), ring_->n(), m);
        to = std::move(moved);
      };
      accumulate(e.c0[j], total.c0[j]);
      accumulate(e.c1[j], total.c1[j]);
      if (j < limbs) accumulate(a.c0[j], sum0[j]);
    });
  }
  Ciphertext out;
  out.scale = a.scale;
  switcher_.mod_down(std::move(total), level, &sum0, out.c0, out.c1);
  parallel_for_limbs(level, [&](std::size_t l) {
    ring_->kernels().add(out.c1[l].data(), out.c1[l].data(), a.c1[l].data(), ring_->n(), ring_->modulus(l));
  });
  return out;
}

Ciphertext Evaluator::mod_raise(const Ciphertext& a, int limbs) const {
  check(a.limbs() == 1, "only a ciphertext of one limb is raised");
  Ciphertext held;  // by the ephemeral secret
  RaisedDigits to = switcher_.mod_up(a.c1, switcher_.ephemeral_tier(), false);
  switcher_.apply(to, kToEphemeral, {.add = &a.c0}, held.c0, held.c1);
  RaisedDigits from = switcher_.mod_raise_digit(held.c1, limbs);
  const RaisedDigits constant = switcher_.mod_raise_digit(held.c0, limbs);
  Ciphertext out;
  out.scale = a.scale;
  switcher_.apply(from, kFromEphemeral, {.add = &constant.digits.front()}, out.c0, out.c1);
  return out;
}

}  // namespace sotto::ckks
