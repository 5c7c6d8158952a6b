#include "bootstrap/slot_map.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/index.h"
#include "base/parallel.h"

namespace sotto::bootstrap {

using u64 = std::uint64_t;

namespace {

int baby_count(const FactorShape& shape) {
  return std::min(SlotMap::kBabies,
                  static_cast<int>(std::bit_ceil(static_cast<unsigned>(shape.last - shape.first + 1))));
}

}  // namespace

SlotMap::SlotMap(const ring::Ring& ring, const ckks::Encoder& encoder, const SlotMatrix& matrix,
                 const FactorShape& shape, double scale)
    : ring_(ring), shape_(shape), babies_(baby_count(shape)), scale_(scale) {
  const std::size_t n = ring.n();
  check(ring.conjugate_invariant() && matrix.slots == n, "a slot map needs the conjugate-invariant ring");
  const auto count = static_cast<std::int64_t>(n);
  std::size_t used = 0;
  for (bool half : {false, true})
    for (int g = floor_div(shape.first, babies_); g <= floor_div(shape.last, babies_); ++g)
      giants_.push_back({half, g, std::vector<std::vector<double>>(static_cast<std::size_t>(babies_))});
  std::vector<std::pair<std::vector<double>*, std::vector<double>>> work;
  for (Giant& g : giants_) {
    const std::int64_t giant = g.index * babies_ * shape.step + (g.half ? count / 2 : 0);
    for (int b = 0; b < babies_; ++b) {
      const std::int64_t shift = giant + b * shape.step;
      const auto at = matrix.diagonals.find(static_cast<std::size_t>((shift % count + count) % count));
      const int index = g.index * babies_ + b;
      if (at == matrix.diagonals.end() || index < shape.first || index > shape.last) continue;
      ++used;
      // The giant step turns the sum afterwards: its diagonals are turned back.
      std::vector<double> turned(n);
      for (std::size_t j = 0; j < n; ++j)
        turned[j] =
            at->second[static_cast<std::size_t>(((static_cast<std::int64_t>(j) - giant) % count + count) % count)];
      work.emplace_back(&g.plain[static_cast<std::size_t>(b)], std::move(turned));
    }
  }
  check(used == matrix.diagonals.size(), "a matrix has diagonals that its shape lacks");
  parallel_for((work.size() + 1) / 2, [&](std::size_t pair) {
    const std::size_t i = 2 * pair, k = i + 1;
    const std::vector<double> none;
    auto [a, b] = encoder.embed_inverse_pair(work[i].second, k < work.size() ? work[k].second : none);
    const auto round = [&](std::vector<double>& x) {
      for (double& v : x) {
        v = std::nearbyint(v * scale);
        if (!(std::abs(v) < 0x1p53))
          throw Error(ErrorCode::bad_input, "the scales of a bootstrapping circuit are out of range");
      }
      return std::move(x);
    };
    *work[i].first = round(a);
    if (k < work.size()) *work[k].first = round(b);
  });
}

std::map<std::int64_t, int> SlotMap::rotations(const FactorShape& shape, std::size_t slots) {
  const int babies = baby_count(shape);
  const std::int64_t giant = babies * shape.step;
  std::map<std::int64_t, int> list;
  for (int b = 1; b < babies; ++b) list[b * shape.step] = 1;
  if (const int above = floor_div(shape.last, babies); above > 0) list[giant] = 2 * above;
  if (const int below = floor_div(shape.first, babies); below < 0) list[-giant] = -2 * below;
  ++list[static_cast<std::int64_t>(slots / 2)];
  return list;
}

std::size_t SlotMap::diagonals() const {
  std::size_t count = 0;
  for (const Giant& g : giants_)
    for (const auto& p : g.plain) count += !p.empty();
  return count;
}

SlotMap::Babies SlotMap::baby_steps(const ckks::Evaluator& evaluator, const ckks::Ciphertext& c) const {
  const ckks::KeySwitcher& switcher = evaluator.switcher();
  const ckks::RaisedDigits d = switcher.mod_up(c.c1, switcher.tier_for(c.limbs()), true);
  Babies out;
  for (int b = 0; b < babies_; ++b)
    out.push_back(switcher.rotate_raised(d, c.c0, ring_.rotation_galois_element(b * shape_.step)));
  return out;
}

// Per ciphertext the sums of all giant steps. Prime by prime, so that plaintexts are transformed once and forgotten.
std::vector<std::vector<ckks::Extended>> SlotMap::inner_sums(const ckks::Evaluator& evaluator,
                                                             std::vector<Babies> babies, int limbs) const {
  const ckks::KeySwitcher& switcher = evaluator.switcher();
  const int tier = switcher.tier_for(limbs);
  const std::size_t total = babies.front().front().c0.size(), count = babies.size();
  std::vector<std::vector<ckks::Extended>> sums(count);
  for (auto& list : sums)
    for (std::size_t g = 0; g < giants_.size(); ++g)
      list.push_back({limbs, tier, ring::RnsPoly(total), ring::RnsPoly(total)});
  parallel_for(total, [&](std::size_t j) {
    const std::size_t prime = switcher.prime_of(j, limbs);
    const simd::ModulusView& modulus = ring_.modulus(prime);
    std::vector<ring::Limb> plain;
    plain.reserve(static_cast<std::size_t>(babies_));
    for (int b = 0; b < babies_; ++b) plain.push_back(ring_.limb());
    for (std::size_t g = 0; g < giants_.size(); ++g) {
      std::array<const u64*, kBabies> x;
      std::array<std::size_t, kBabies> baby;
      std::size_t terms = 0;
      for (std::size_t b = 0; b < plain.size(); ++b) {
        if (giants_[g].plain[b].empty()) continue;
        const std::vector<double>& integers = giants_[g].plain[b];
        ring_.kernels().residues(plain[b].data(), integers.data(), integers.size(), modulus);
        ring_.ntt(plain[b].data(), prime);
        x[terms] = plain[b].data();
        baby[terms++] = b;
      }
      for (std::size_t c = 0; c < count; ++c) {
        ring::Limb &s0 = sums[c][g].c0[j] = ring_.limb(), &s1 = sums[c][g].c1[j] = ring_.limb();
        if (terms == 0) {
          std::fill_n(s0.data(), ring_.n(), u64{0});
          std::fill_n(s1.data(), ring_.n(), u64{0});
          continue;
        }
        std::array<const unsigned char*, kBabies> k0, k1;
        for (std::size_t t = 0; t < terms; ++t) {
          k0[t] = babies[c][baby[t]].c0[j].data();
          k1[t] = babies[c][baby[t]].c1[j].data();
        }
        ring_.kernels().inner_product(s0.data(), s1.data(), x.data(), k0.data(), k1.data(), terms, ring_.n(), modulus);
      }
    }
    for (Babies& list : babies)
      for (ckks::RaisedRotation& r : list)
        for (ring::PackedPoly* c : {&r.c0, &r.c1}) (*c)[j] = ring::PackedLimb();
  });
  return sums;
}

ckks::Ciphertext SlotMap::giant_steps(const ckks::Evaluator& evaluator, std::vector<ckks::Extended> sums,
                                      double scale) const {
  const ckks::KeySwitcher& switcher = evaluator.switcher();
  const auto sum_of = [&](bool half, int index) -> ckks::Extended& {
    const auto it = std::find_if(giants_.begin(), giants_.end(),
                                 [&](const Giant& g) { return g.half == half && g.index == index; });
    return sums[static_cast<std::size_t>(it - giants_.begin())];
  };
  const auto add_rotated = [&](ckks::Extended& to, ckks::Extended& from, std::int64_t steps) {
    switcher.add_rotated(std::move(from), ring_.rotation_galois_element(steps), to);
  };
  const std::int64_t giant = babies_ * shape_.step;
  const int first = giants_.front().index, last = giants_.back().index;
  for (bool half : {true, false}) {
    for (int g = last; g > 0; --g) add_rotated(sum_of(half, g - 1), sum_of(half, g), giant);
    for (int g = first; g < 0; ++g) add_rotated(sum_of(half, g + 1), sum_of(half, g), -giant);
  }
  add_rotated(sum_of(false, 0), sum_of(true, 0), static_cast<std::int64_t>(ring_.slots() / 2));
  ckks::Ciphertext out;
  const int limbs = sum_of(false, 0).level.limbs;
  switcher.mod_down(std::move(sum_of(false, 0)), limbs - 1, nullptr, out.c0, out.c1);
  out.scale = scale * scale_ / static_cast<double>(ring_.prime(static_cast<std::size_t>(limbs - 1)));
  return out;
}

void SlotMap::apply(const ckks::Evaluator& evaluator, std::span<ckks::Ciphertext> list) const {
  if (list.empty()) return;
  const int limbs = list.front().limbs();
  std::vector<Babies> babies;
  std::vector<double> scales;
  for (ckks::Ciphertext& c : list) {
    check(c.limbs() == limbs, "ciphertexts of one call are at different levels");
    babies.push_back(baby_steps(evaluator, c));
    scales.push_back(c.scale);
    c = {};
  }
  auto sums = inner_sums(evaluator, std::move(babies), limbs);
  for (std::size_t c = 0; c < list.size(); ++c) list[c] = giant_steps(evaluator, std::move(sums[c]), scales[c]);
}

}  // namespace sotto::bootstrap
