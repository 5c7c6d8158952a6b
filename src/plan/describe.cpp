#include "plan/describe.h"

#include <cmath>
#include <iomanip>
#include <set>
#include <sstream>

#include "plan/schedule.h"

namespace sotto::plan {

std::string describe(const Plan& plan) {
  const Schedule schedule = make_schedule(plan);
  std::ostringstream out;
  out << "network " << plan.network << ", batch " << plan.batch << ", tile " << plan.tile.h << "x" << plan.tile.w
      << ", group " << plan.group() << ", ring rank 2^" << plan.parameters.log_n << ", "
      << plan.parameters.ciphertext_primes << " + " << plan.parameters.special_primes << " primes, "
      << plan.keys.keys.size() << " keys\n";
  out << std::left << std::setw(28) << "layer" << std::right << std::setw(16) << "output" << std::setw(8) << "cts"
      << std::setw(7) << "limbs" << std::setw(8) << "scale" << std::setw(7) << "terms" << std::setw(7) << "taps"
      << std::setw(9) << "masked" << std::setw(11) << "rotations"
      << "\n";
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    const Layout& l = plan.tensors[step.output].layout;
    std::size_t taps = 0, masked = 0;
    std::set<Source> rotated;
    std::size_t turned = 0;
    for (const Task& task : schedule.tasks) {
      if (task.step != static_cast<int>(s)) continue;
      turned += task.turned_sums;
      for (const Tap& tap : task.taps) {
        ++taps;
        masked += !tap.mask.empty();
        for (Tap made = tap; made.source.rotation != 0; made.source = made_from(plan, made))
          rotated.insert(made.source);
      }
    }
    std::size_t rotations = turned;
    for (const Source& r : rotated) rotations += static_cast<std::size_t>(plan.tensors[r.tensor].layout.blocks());
    std::ostringstream shape;
    shape << l.channels << "x" << l.height << "x" << l.width;
    std::string name = step.name.size() > 27 ? step.name.substr(0, 24) + "..." : step.name;
    out << std::left << std::setw(28) << name << std::right << std::setw(16) << shape.str() << std::setw(8)
        << l.ciphertexts() << std::setw(7) << step.level.count() << std::setw(8) << std::fixed << std::setprecision(2)
        << std::log2(plan.tensors[step.output].scale) << std::setw(7) << step.terms.size() << std::setw(7) << taps
        << std::setw(9) << masked << std::setw(11) << rotations << "\n";
  }
  return out.str();
}

}  // namespace sotto::plan
