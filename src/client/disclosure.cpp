#include "client/disclosure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "base/error.h"

namespace sotto::client {

namespace {

constexpr double kLeastNoise = 1e-3, kMostNoise = 1e15;  // over the error, of what is looked at

// Of a standard normal value: that it is below x.
double log_below(double x) { return std::log(0.5 * std::erfc(-x / std::numbers::sqrt2)); }

// The most that a class tells which cannot lead: its lead is 0 at most, `kMarginDeviations` below what is asked for.
double divergence_of_others(double d, double order) {
  const double cap = order * d * d / 2;                  // that of the lead itself, from which the answer is made
  if ((order + 1) * d >= kMarginDeviations) return cap;  // which tails reach at -order * d
  const double x = -kMarginDeviations + d;               // below, it only falls
  // As d goes to 0, where rounding hides the value, it goes to 0.00057 times the cap.
  return std::clamp(std::max(divergence_of_sign(x, d, order), divergence_of_sign(x, -d, order)), cap / 1000, cap);
}

// Two digits, rounded up.
std::string two_digits(double x) {
  const int exponent = static_cast<int>(std::floor(std::log10(x))) - 1;
  return fmt::format("{:.0f}e{}", std::ceil(x / std::pow(10.0, exponent)), exponent);
}

// The least deviation with which the target is met; what is told falls as it grows.
Noise least_noise(double error, const Target& target, const std::function<Divergence(double)>& divergence) {
  check(error > 0 && target.releases > 0, "noise for no error or no release");
  const auto enough = [&](double deviation) {
    Divergence all = divergence(deviation);
    for (double& d : all) d *= target.releases;
    return target.met_by(all);
  };
  double low = kLeastNoise * error, high = kMostNoise * error;
  if (!enough(high))
    throw Error(ErrorCode::usage,
                target.statistical_bits
                    ? fmt::format("no noise gives {:.4g} bits of statistical security", *target.statistical_bits)
                    : fmt::format("no noise leaves {:.4g} bits for the key of parameters of {}", target.key_bits,
                                  target.security_bits));
  while (high > 1.0001 * low) {
    const double middle = std::sqrt(low * high);
    (enough(middle) ? high : low) = middle;
  }
  Noise noise;
  noise.text = two_digits(high);
  noise.deviation = std::stod(noise.text);
  noise.divergence = divergence(noise.deviation);
  return noise;
}

}  // namespace

Divergence operator+(Divergence a, const Divergence& b) {
  for (std::size_t k = 0; k < a.size(); ++k) a[k] += b[k];
  return a;
}

double key_bits(const Divergence& divergence, int security_bits) {
  double best = 0;
  for (std::size_t k = 0; k < kOrders.size(); ++k)
    best = std::max(best, (kOrders[k] - 1) / kOrders[k] * (security_bits - divergence[k] * std::numbers::log2e));
  return best;
}

double statistical_bits(const Divergence& divergence) { return -std::log2(24 * divergence.front() / kOrders.front()); }

bool Target::met_by(const Divergence& divergence) const {
  return statistical_bits ? client::statistical_bits(divergence) >= *statistical_bits
                          : client::key_bits(divergence, security_bits) >= key_bits;
}

double divergence_of_sign(double x, double d, double order) {
  const double above = order * log_below(x + d) + (1 - order) * log_below(x),
               below = order * log_below(-x - d) + (1 - order) * log_below(-x), most = std::max(above, below);
  return (most + std::log(std::exp(above - most) + std::exp(below - most))) / (order - 1);
}

Noise noise_of_scores(double error, std::size_t images, std::size_t classes, const Target& target) {
  const double squares =
      std::pow(kErrorAllowance * error, 2) * static_cast<double>(images) * static_cast<double>(classes);
  Noise noise = least_noise(error, target, [&](double deviation) {
    Divergence d;
    for (std::size_t k = 0; k < d.size(); ++k) d[k] = kOrders[k] * squares / (2 * deviation * deviation);
    return d;
  });
  noise.margin = kMarginDeviations * std::numbers::sqrt2 * noise.deviation;
  noise.step = std::exp2(std::floor(std::log2(noise.deviation / 2)));
  return noise;
}

Noise noise_of_labels(double error, std::size_t images, std::size_t classes, const Target& target) {
  check(classes > 1, "labels of a single score");
  const double lead_error = kErrorAllowance * std::numbers::sqrt2 * error;
  Noise noise = least_noise(error, target, [&](double deviation) {
    const double d = lead_error / deviation;
    Divergence all;
    for (std::size_t k = 0; k < all.size(); ++k)
      all[k] = static_cast<double>(images) *
               (kOrders[k] * d * d / 2 + static_cast<double>(classes - 1) * divergence_of_others(d, kOrders[k]));
    return all;
  });
  noise.margin = kMarginDeviations * noise.deviation;
  return noise;
}

}  // namespace sotto::client
