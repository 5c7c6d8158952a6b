#include "ckks/parameters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "base/error.h"
#include "ckks/security.h"
#include "ring/primes.h"

namespace sotto::ckks {

namespace {

// So large that a ring of rank 2^16 has enough of them.
constexpr int kLeastSmallBits = 24;

}  // namespace

int tier_for(std::span<const KeyTier> tiers, int limbs) {
  int best = -1;
  for (std::size_t t = 0; t < tiers.size(); ++t)
    if (!tiers[t].ephemeral && tiers[t].max_limbs >= limbs &&
        (best < 0 || tiers[t].max_limbs < tiers[static_cast<std::size_t>(best)].max_limbs))
      best = static_cast<int>(t);
  return best;
}

int ephemeral_tier(std::span<const KeyTier> tiers) {
  const auto it = std::find_if(tiers.begin(), tiers.end(), [](const KeyTier& t) { return t.ephemeral; });
  return it == tiers.end() ? -1 : static_cast<int>(it - tiers.begin());
}

bool same_ring(const ParametersSpec& a, const ParametersSpec& b) {
  return a.log_n == b.log_n && a.kind == b.kind && a.prime_bits == b.prime_bits && a.small_primes == b.small_primes &&
         a.security == b.security;
}

std::vector<std::uint64_t> primes_of(const ParametersSpec& spec) {
  const std::uint64_t order = (spec.kind == ring::RingKind::conjugate_invariant ? 4ull : 2ull) << spec.log_n;
  const int whole = spec.ciphertext_primes - spec.small_primes;
  const auto all = ring::largest_primes(static_cast<std::size_t>(kMostSpecialPrimes + whole), spec.prime_bits, order);
  std::vector<std::uint64_t> primes;
  if (spec.small_primes > 0)
    primes = ring::largest_primes(static_cast<std::size_t>(spec.small_primes), spec.small_prime_bits(), order);
  primes.insert(primes.end(), all.begin() + kMostSpecialPrimes, all.end());
  primes.insert(primes.end(), all.begin(), all.begin() + spec.special_primes);
  return primes;
}

Parameters::Parameters(const ParametersSpec& spec, int security_bits)
    : spec_(spec), primes_(primes_of(spec)), security_bits_(security_bits) {}

Parameters Parameters::create(const ParametersSpec& spec) {
  auto in_range = [](int v, int lo, int hi) { return v >= lo && v <= hi; };
  if (!in_range(spec.ciphertext_primes, 1, 64) || !in_range(spec.special_primes, 1, kMostSpecialPrimes) ||
      !in_range(spec.prime_bits, 30, simd::kMaxModulusBits) || !in_range(spec.small_primes, 0, kMostSmallPrimes) ||
      spec.small_primes >= spec.ciphertext_primes ||
      (spec.small_primes > 0 && spec.small_prime_bits() < kLeastSmallBits) ||
      (spec.primes_at_once != 0 && spec.primes_at_once <= spec.ciphertext_primes)) {
    throw Error(ErrorCode::bad_input, "parameters are out of range: 1 to 64 ciphertext primes, 1 to " +
                                          std::to_string(kMostSpecialPrimes) +
                                          " special ones, 30 to 48 bits each, fewer for at most " +
                                          std::to_string(kMostSmallPrimes) + " of them");
  }
  const SecurityRow* row = find_security_row(spec.log_n, SecretDistribution::ternary, spec.security);
  if (row == nullptr) {
    throw Error(ErrorCode::bad_input, "refused: the security table has no ring of rank 2^" +
                                          std::to_string(spec.log_n) + " for " + std::string(describe(spec.security)));
  }
  const auto made = [&] {
    try {
      return Parameters(spec, row->bits);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::usage) throw;  // that of largest_primes
      throw Error(ErrorCode::bad_input, std::string("parameters are out of range: ") + e.what());
    }
  };
  Parameters p = made();
  if (p.log2_qp() > row->max_log2_qp) {
    throw Error(ErrorCode::bad_input,
                "refused: log2(QP) = " + std::to_string(static_cast<int>(std::ceil(p.log2_qp()))) + " exceeds " +
                    std::to_string(static_cast<int>(row->max_log2_qp)) + ", the limit for " +
                    std::string(describe(spec.security)) + " at rank 2^" + std::to_string(spec.log_n));
  }
  return p;
}

double Parameters::log2_qp() const {
  // What has the most primes has all small ones: no ciphertext without them has more others.
  const auto small = static_cast<std::size_t>(spec_.small_primes);
  std::vector<std::uint64_t> largest = primes_;
  std::sort(largest.begin() + spec_.small_primes, largest.end(), std::greater{});
  largest.resize(std::min(largest.size(), std::max(small, static_cast<std::size_t>(spec_.most_at_once()))));
  double bits = 0;
  for (std::uint64_t q : largest) bits += std::log2(static_cast<double>(q));
  return bits;
}

std::shared_ptr<const ring::Ring> Parameters::make_ring(const simd::Kernels& kernels,
                                                        std::size_t memory_limit_bytes) const {
  return std::make_shared<const ring::Ring>(spec_.log_n, spec_.kind, primes_, kernels, memory_limit_bytes);
}

}  // namespace sotto::ckks
