#include "plan/probe.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "plan/plan.h"
#include "plan/schedule.h"

namespace sotto::plan {

namespace {

// Between the bound and the modulus: one image of a batch may be 2^12 times beyond it, and n / 2 times that if it is
// alone, before the sum itself is lost.
constexpr int kRoomBits = 12;
constexpr std::size_t kMostProbes = 4096;

[[noreturn]] void bad(const std::string& what) { throw Error(ErrorCode::bad_input, "the plan is not valid: " + what); }

bool is_size(double v) { return std::isfinite(v) && v >= 0; }
bool is_fraction(double v) { return v >= 0 && v <= 1; }

// What slots without a pixel or a channel hold: 0, or what polynomials make of it.
double resting_value(const Plan& plan, int tensor) {
  for (const Step& s : plan.steps) {
    if (s.output != tensor || !s.slotwise()) continue;
    const double v = resting_value(plan, s.terms.front().source);
    if (s.kind == Kind::multiply) return v * resting_value(plan, s.terms.back().source);
    return s.kind == Kind::activate ? s.activation(v) : v;
  }
  return 0;
}

const Tensor& tensor_of(const Plan& plan, const Probe& probe) {
  return plan.tensors[static_cast<std::size_t>(probe.tensor)];
}

}  // namespace

int sign_of(const Probe& probe, int ciphertext) {
  if (!probe.alternating) return 1;
  // The finaliser of SplitMix64: a pattern that no order of channels follows.
  std::uint64_t z = (static_cast<std::uint64_t>(ciphertext) + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (z ^ (z >> 31)) & 1 ? -1 : 1;
}

Watched watched(const Plan& plan, const Probe& probe) {
  const Layout& l = tensor_of(plan, probe).layout;
  // Tile rows between those of two pixels, where that is the same for all; otherwise every row is watched.
  const auto apart = [](int gap, int phases, int fill) { return gap % phases == 0 && fill == 1 ? gap / phases : 1; };
  return {l.places(), (l.height - 1) * l.gap.h / l.phases.h + l.fill.h, (l.width - 1) * l.gap.w / l.phases.w + l.fill.w,
          apart(l.gap.h, l.phases.h, l.fill.h), apart(l.gap.w, l.phases.w, l.fill.w)};
}

double probe_value(const Plan& plan, const Probe& probe, std::span<const double> values) {
  const Layout& l = tensor_of(plan, probe).layout;
  const Watched w = watched(plan, probe);
  const double rest = resting_value(plan, probe.tensor);
  const auto pixel = [&](int block, int place, int cy, int cx) {  // on the canvas
    const int y = cy / l.gap.h, x = cx / l.gap.w, row = cy % l.gap.h, column = cx % l.gap.w;
    if (row >= l.fill.h || column >= l.fill.w || y >= l.height || x >= l.width) return rest;
    const int channel = l.channel_at(block, place + row * l.fill.w + column);
    if (channel < 0) return rest;
    return values[(static_cast<std::size_t>(channel) * l.height + y) * l.width + x];
  };
  double largest = 0;
  for (int place = 0; place < w.places; ++place) {
    for (int ty = 0; ty < w.rows; ty += w.row_gap) {
      for (int tx = 0; tx < w.columns; tx += w.column_gap) {
        double sum = 0;
        for (int k = 0; k < l.ciphertexts(); ++k) {
          const int phase = k / l.blocks(), block = k % l.blocks();
          sum += sign_of(probe, k) *
                 pixel(block, place, ty * l.phases.h + phase / l.phases.w, tx * l.phases.w + phase % l.phases.w);
        }
        largest = std::isnan(sum) ? HUGE_VAL : std::max(largest, std::abs(sum));
      }
    }
  }
  return largest;
}

Watch watch_of(const Plan& plan) {
  Watch watch;
  for (const Probe& p : plan.probes)
    watch.probes.push_back({p.limbs, tensor_of(plan, p).scale, p.bound, watched(plan, p)});
  watch.score_bound = plan.score_bound;
  watch.score_error = plan.prediction.score_error;
  watch.score_spread = plan.prediction.spread;
  watch.agreement = plan.prediction.promised;
  watch.faint_error = plan.prediction.faint_error;
  for (const Task& task : make_schedule(plan).tasks) {
    // Groups keep channels within their image; those in gaps may leave its tile.
    const int further = task.giants.empty() ? 0 : std::max(-task.giants.front(), task.giants.back());
    for (const Tap& tap : task.taps)
      watch.reach = std::max(
          watch.reach, static_cast<int>((std::abs(tap.source.rotation) + further + plan.period() - 1) / plan.period()));
  }
  return watch;
}

bool has_room(double bound, double scale, int limbs, int prime_bits) {
  return bound * scale < std::ldexp(1.0, limbs * prime_bits - kRoomBits);
}

void verify_probes(const Plan& plan) {
  const Prediction& expected = plan.prediction;
  if (!is_size(plan.score_bound) || !is_size(expected.score_error) || !is_size(expected.spread) ||
      !is_size(expected.faint_error) || !is_fraction(expected.promised))
    bad("impossible bound of its scores");
  int last = -1;
  for (const Probe& p : plan.probes) {
    if (p.tensor <= last || p.tensor >= static_cast<int>(plan.tensors.size())) bad("impossible probe");
    last = p.tensor;
    const Tensor& t = tensor_of(plan, p);
    if (p.limbs < 1 || p.limbs > std::min(kMostProbeLimbs, t.level.limbs - plan.parameters.small_primes) ||
        !(p.bound > 0) || !has_room(p.bound, t.scale, p.limbs, plan.parameters.prime_bits))
      bad("the probe of " + t.name + " does not fit it");
  }
}

void verify_watch(const Watch& watch, int prime_bits, const Axes& tile, int group) {
  if (watch.probes.size() > kMostProbes || watch.reach < 1 || watch.reach > 1 << 20 || !is_size(watch.score_bound) ||
      !is_size(watch.score_error) || !is_size(watch.score_spread) || !is_size(watch.faint_error) ||
      !is_fraction(watch.agreement))
    bad("impossible bounds");
  const auto within = [](int v, int most) { return v >= 1 && v <= most; };
  for (const ProbeView& p : watch.probes)
    if (!within(p.limbs, kMostProbeLimbs) || !(p.scale > 0x1p-400) || !(p.bound > 0) ||
        !has_room(p.bound, p.scale, p.limbs, prime_bits) || !within(p.watched.places, group) ||
        !within(p.watched.rows, tile.h) || !within(p.watched.columns, tile.w) || !within(p.watched.row_gap, 4096) ||
        !within(p.watched.column_gap, 4096))
      bad("impossible probe");
}

}  // namespace sotto::plan
