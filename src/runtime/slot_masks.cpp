#include "runtime/slot_masks.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "plan/answer_slots.h"
#include "plan/identity.h"
#include "plan/probe.h"

namespace sotto::runtime {

namespace {

// A double has 53 bits. What lies below those of a large mask is hidden by smaller ones: the smallest has coefficients
// of this deviation, the others are larger by so many bits each.
constexpr double kLeastDeviation = 0x1p46;
constexpr int kLayerBits = 36;
// A probe is read in doubles as well: what hides its other slots is larger than its bound by no more than this.
constexpr double kMostOverBound = 0x1p36;

// Uniform values from -1 to 1.
std::vector<double> uniform(const ckks::Seed& seed, std::uint64_t stream, std::size_t count) {
  unsigned char key[randombytes_SEEDBYTES];
  static_assert(sizeof key <= crypto_generichash_BYTES_MAX);
  crypto_generichash(key, sizeof key, reinterpret_cast<const unsigned char*>(&stream), sizeof stream, seed.data(),
                     seed.size());
  std::vector<std::int64_t> words(count);
  randombytes_buf_deterministic(words.data(), count * sizeof(std::int64_t), key);
  sodium_memzero(key, sizeof key);
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(words[i]) * 0x1p-63;
  return values;
}

double modulus_of(const ring::Ring& ring, const ckks::Level& level) {
  double modulus = 1;
  for (int l = level.absent; l < level.limbs; ++l)
    modulus *= static_cast<double>(ring.prime(static_cast<std::size_t>(l)));
  return modulus;
}

}  // namespace

SlotMasks::SlotMasks(const plan::Plan& plan, const ring::Ring& ring, const ckks::Seed& seed)
    : ring_(ring), encoder_(ring.log_n(), ring.kind()), seed_(seed) {
  check(ring.conjugate_invariant(), "slots of answers are real");
  const plan::AnswerSlots slots(plan);
  for (std::size_t b = 0; b < slots.blocks(); ++b) {
    Mask& mask = masks_.emplace_back(std::vector<bool>(ring.slots()), HUGE_VAL);
    slots.each_score(b, [&](std::size_t, std::size_t, std::size_t slot) { mask.means[slot] = true; });
  }
  for (const plan::ProbeView& p : plan::watch_of(plan).probes) {
    Mask& mask = masks_.emplace_back(std::vector<bool>(ring.slots()), kMostOverBound * p.bound * p.scale);
    slots.each_watched(p.watched, [&](std::size_t, std::size_t slot) { mask.means[slot] = true; });
  }
}

void SlotMasks::hide(std::span<ckks::Ciphertext> answer, std::uint64_t batch) const {
  check(answer.size() == masks_.size(), "an answer of another plan");
  parallel_for(answer.size(), [&](std::size_t k) { add_mask(answer[k], masks_[k], batch * answer.size() + k); });
}

void SlotMasks::add_mask(ckks::Ciphertext& c, const Mask& mask, std::uint64_t stream) const {
  const auto hidden = static_cast<double>(std::ranges::count(mask.means, false));
  if (hidden == 0) return;
  // n slots of variance r^2 / 3 where they are hidden make coefficients of variance hidden r^2 / (6 n^2).
  const double slot_per_deviation = static_cast<double>(ring_.n()) * std::sqrt(6 / hidden);
  const double most = std::min(modulus_of(ring_, c.level()) * kMaskDeviation, mask.most / slot_per_deviation);
  constexpr std::uint64_t kMostLayers = 8;
  for (std::uint64_t layer = 0; layer < kMostLayers; ++layer) {
    const double limit = std::ldexp(kLeastDeviation, kLayerBits * static_cast<int>(layer));
    const double r = std::min(most, limit) * slot_per_deviation;
    std::vector<double> values = uniform(seed_, stream * kMostLayers + layer, mask.means.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = mask.means[i] ? 0 : values[i] * r;
    add(c, encoder_.embed_inverse(std::span<const double>(values)));
    if (most <= limit) return;
  }
  throw Error(ErrorCode::internal, "a modulus too large for masks");
}

// Large coefficients in two parts: every double of this size is an integer.
void SlotMasks::add(ckks::Ciphertext& c, std::vector<double> coefficients) const {
  constexpr int kLow = 40;
  std::vector<double> high(coefficients.size());
  for (std::size_t i = 0; i < high.size(); ++i) {
    high[i] = std::nearbyint(std::ldexp(coefficients[i], -kLow));
    coefficients[i] -= std::ldexp(high[i], kLow);
  }
  const ckks::Plaintext upper = ckks::encode(ring_, high, 1, c.level()),
                        lower = ckks::encode(ring_, coefficients, 1, c.level());
  const auto& k = ring_.kernels();
  for (auto l = static_cast<std::size_t>(c.level().absent); l < c.c0.size(); ++l) {
    std::uint64_t* sum = c.c0[l].data();
    const std::uint64_t factor = (std::uint64_t{1} << kLow) % ring_.prime(l);
    k.mul_scalar_add(sum, upper.poly[l].data(), factor, sum, ring_.n(), ring_.modulus(l));
    k.add(sum, sum, lower.poly[l].data(), ring_.n(), ring_.modulus(l));
  }
}

ckks::Seed mask_seed(const plan::Plan& plan, std::span<const unsigned char> input,
                     std::span<const unsigned char> keys) {
  const plan::PlanKey key = plan::key_of(plan);
  crypto_generichash_state state;
  ckks::Seed seed;
  crypto_generichash_init(&state, key.data(), key.size(), seed.size());
  crypto_generichash_update(&state, input.data(), input.size());
  crypto_generichash_update(&state, keys.data(), keys.size());
  crypto_generichash_final(&state, seed.data(), seed.size());
  return seed;
}

}  // namespace sotto::runtime
