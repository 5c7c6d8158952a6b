#include "training/optimiser.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "base/error.h"

namespace sotto::training {

namespace {

// Numbers 0 .. count - 1 in random order. The standard fixes the numbers of mt19937_64, but neither what its
// distributions nor what std::shuffle make of them; hence Fisher and Yates by hand.
std::vector<std::size_t> shuffled(std::size_t count, std::mt19937_64& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t left = count; left > 1; --left) {
    // Numbers below 2^64 mod left are drawn again: as many remain for every remainder.
    const std::uint64_t skipped = (0 - std::uint64_t{left}) % left;
    std::uint64_t drawn = random();
    while (drawn < skipped) drawn = random();
    std::swap(order[left - 1], order[drawn % left]);
  }
  return order;
}

// The seed of a stream of random numbers of its own (splitmix64: Steele, Lea, Flood 2014).
std::uint64_t stream(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Update update_of(const Spec& spec, int step) {
  double rate = 1;  // relative to spec.rate
  for (const RateChange& c : spec.schedule)
    if (step >= c.step) rate *= c.factor;
  Update u;
  u.uw = spec.rate * spec.weight_decay;
  u.uu = spec.momentum;
  u.ug = spec.rate / spec.batch;
  // Nesterov steps along rate * gradient + momentum * u', all others along u'.
  const double look = spec.nesterov ? spec.momentum : 1, now = spec.nesterov ? 1 : 0;
  u.ww = 1 - rate * (now + look) * u.uw;
  u.wu = -rate * look * u.uu;
  u.wg = -rate * (now + look) * u.ug;
  return u;
}

double least_rate(const Spec& spec) {
  double rate = spec.rate, least = rate;
  for (const RateChange& c : spec.schedule) {
    rate *= c.factor;
    if (c.step < spec.steps) least = std::min(c.step == 0 ? rate : least, rate);
  }
  return least;
}

std::vector<std::vector<std::size_t>> batches_of(const Spec& spec, std::size_t images) {
  const auto size = static_cast<std::size_t>(spec.batch);
  if (images < size)
    throw Error(
        ErrorCode::bad_input,
        fmt::format("a batch of {} images needs as many; there are {}: give more, or lower batch", size, images));
  std::mt19937_64 random(stream(spec.seed, 0));
  const std::vector<std::size_t> order = shuffled(images, random);
  std::vector<std::vector<std::size_t>> batches(images / size);
  for (std::size_t b = 0; b < batches.size(); ++b)
    batches[b].assign(order.begin() + static_cast<std::ptrdiff_t>(b * size),
                      order.begin() + static_cast<std::ptrdiff_t>((b + 1) * size));
  return batches;
}

int batch_of(const Spec& spec, int batches, int step) {
  const int pass = step / batches;
  std::mt19937_64 random(stream(spec.seed, static_cast<std::uint64_t>(pass) + 1));
  return static_cast<int>(
      shuffled(static_cast<std::size_t>(batches), random)[static_cast<std::size_t>(step % batches)]);
}

}  // namespace sotto::training
