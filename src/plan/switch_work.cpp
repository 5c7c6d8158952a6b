#include "plan/switch_work.h"

#include <algorithm>
#include <cmath>

#include "bootstrap/slot_map.h"
#include "plan/schedule.h"

namespace sotto::plan {

Work SwitchWork::mod_up() const {
  Work w{static_cast<double>(limbs()), 0, 0, static_cast<double>(limbs()) * n};
  const int each = tier().digit_limbs(), first = tier().digit_of(level.absent);
  for (int d = first; d < first + digits(); ++d) {
    const int own = std::min((d + 1) * each, level.limbs) - std::max(d * each, level.absent);
    const double to = limbs() + special - own;
    w.transforms += to;
    w.basis_macs += to * own * n;
  }
  return w;
}

Work SwitchWork::inner_product() const { return {0, 0, 0, 2.0 * digits() * (limbs() + special) * n}; }

namespace {

// Division of both polynomials: so many primes leave the modulus, others stay or join.
Work division(int leaving, int left, double n) {
  const double from = leaving, to = left;
  return Work{from + to, 0, (from + 1) * to * n, to * n} * 2;
}

int leaving(const ckks::Level& from, const ckks::Level& to) {
  return std::max(from.limbs - to.limbs, 0) + std::max(to.absent - from.absent, 0);
}

}  // namespace

Work SwitchWork::mod_down(const ckks::Level& to) const { return division(special + leaving(level, to), to.count(), n); }

Work SwitchWork::rotations(int count) const {
  Work w = mod_up(), each = inner_product();
  each += mod_down(level);
  each.words += 3.0 * limbs() * n;
  w += each * count;
  return w;
}

Work SwitchWork::square(const ckks::Level& to) const {
  Work w = mod_up();
  w += inner_product();
  w += mod_down(to);
  w.words += 5.0 * limbs() * n;
  return w;
}

namespace {

// Diagonals of a factor, and the sums over baby steps that its giant steps take.
struct FactorSize {
  int diagonals, babies, giants;
};

FactorSize size_of(const bootstrap::FactorShape& shape, std::size_t slots) {
  FactorSize size{2 * (shape.last - shape.first + 1), 0, 0};
  for (const auto& [rotation, times] : bootstrap::SlotMap::rotations(shape, slots)) {
    const bool baby = rotation > 0 && rotation < bootstrap::SlotMap::kBabies * shape.step;
    (baby ? size.babies : size.giants) += times;
  }
  return size;
}

Work factor_work(const bootstrap::FactorShape& shape, const SwitchWork& sw, int together) {
  const FactorSize size = size_of(shape, static_cast<std::size_t>(sw.n));
  const double extended = sw.limbs() + sw.special;
  Work work = sw.mod_up();
  Work baby = sw.inner_product();
  baby.words += 6.0 * extended * sw.n;
  work += baby * (size.babies + 1);
  Work giant = sw.mod_down(sw.level) * 0.5;  // of the second polynomial only
  giant += sw.mod_up();
  giant += sw.inner_product();
  giant.words += 6.0 * extended * sw.n;
  work += giant * size.giants;
  work += sw.mod_down(sw.level.limbs - 1);
  work.transforms += size.diagonals * extended / together;
  work.words += size.diagonals * extended * sw.n * (2 + 1.0 / together);
  return work;
}

}  // namespace

Work bootstrap_work(const bootstrap::BootstrapSpec& spec, int log_n, int together,
                    const std::function<int(int)>& special) {
  const std::size_t slots = std::size_t{1} << log_n;
  const double n = std::ldexp(1.0, log_n);
  const auto entry = bootstrap::factor_shapes(slots, spec.slots_to_coeffs_factors),
             exit = bootstrap::factor_shapes(slots, spec.coeffs_to_slots_factors);
  Work work;
  const auto at = [&](int limbs) { return SwitchWork{n, limbs, special(limbs)}; };
  for (int f = 0; f < spec.slots_to_coeffs_factors; ++f)
    work += factor_work(entry[static_cast<std::size_t>(spec.slots_to_coeffs_factors - 1 - f)],
                        at(spec.input_limbs() - f), together);
  for (int f = 0; f < spec.coeffs_to_slots_factors; ++f)
    work += factor_work(exit[static_cast<std::size_t>(f)], at(spec.raised_limbs - f), together);
  for (const auto& [s, times] : bootstrap::required_switches(spec, log_n)) {
    if (s.galois_element == ckks::kRelinearise) work += at(s.limbs).square() * times;
    if (s.galois_element == ckks::kFromEphemeral) {  // a single digit each for both polynomials
      const SwitchWork top = at(s.limbs);
      work += top.mod_down(top.level);
      work.transforms += 2.0 * (top.limbs() + top.special);
    }
  }
  return work;
}

std::uint64_t bootstrap_limbs(const bootstrap::BootstrapSpec& spec, int log_n, int together, int special) {
  const std::size_t slots = std::size_t{1} << log_n;
  std::uint64_t plaintexts = 0, most = 0;
  for (int factors : {spec.slots_to_coeffs_factors, spec.coeffs_to_slots_factors})
    for (const auto& shape : bootstrap::factor_shapes(slots, factors))
      plaintexts += static_cast<std::uint64_t>(size_of(shape, slots).diagonals);
  for (const auto& shape : bootstrap::factor_shapes(slots, spec.coeffs_to_slots_factors)) {
    const FactorSize size = size_of(shape, slots);
    // Sums of all giant steps, beside baby rotations (packed).
    most = std::max(most, static_cast<std::uint64_t>(size.giants + 1 + (size.babies + 1) * 3 / 4));
  }
  const auto extended = static_cast<std::uint64_t>(spec.raised_limbs + special);
  return plaintexts + (2 * most * static_cast<std::uint64_t>(together) + 8) * extended;
}

namespace {

// Division of both polynomials alone.
Work rescaling(const ckks::Level& from, const ckks::Level& to, double n) {
  return from == to ? Work() : division(leaving(from, to), to.count(), n);
}

Work activation_work(const Plan& plan, const Step& step, int limbs, const std::function<int(int)>& special) {
  Work work;
  const double n = std::ldexp(1.0, plan.parameters.log_n);
  for (const auto& [s, times] : activation_switches(step.activation, limbs)) {
    Work once = SwitchWork{n, s.limbs, special(s.limbs)}.square();
    once.words += 8.0 * s.limbs * n;  // scalars and sums
    work += once * times;
  }
  return work;
}

}  // namespace

Work finishing_work(const Plan& plan, const Step& step, const ckks::Level& level,
                    const std::function<int(int)>& special) {
  const int log_n = plan.parameters.log_n;
  if (step.kind == Kind::activate) return activation_work(plan, step, level.limbs, special);
  if (step.kind == Kind::bootstrap)
    return bootstrap_work(
        *plan.bootstrapping, log_n,
        std::min(plan.tensors[static_cast<std::size_t>(step.output)].layout.blocks(), kBootstrappedTogether), special);
  const double n = std::ldexp(1.0, log_n);
  const StepLevels levels(step, level, plan.parameters.small_primes);
  Work work = rescaling(level, levels.product, n);
  if (step.kind == Kind::square || step.kind == Kind::multiply)
    work += SwitchWork{n, levels.product, special(levels.product.limbs)}.square(levels.result);
  else
    work += rescaling(levels.product, levels.result, n);
  return work;
}

}  // namespace sotto::plan
