#include "ring/ring.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/primes.h"
#include "simd/self_test.h"

namespace sotto::ring {

namespace {

// The self-test at start is for transforms up to 2^10; longer ones go through memory in other ways.
constexpr int kTestedAtStart = 10;

}  // namespace

Ring::Ring(int log_n, RingKind kind, std::vector<std::uint64_t> primes, const simd::Kernels& kernels,
           std::size_t memory_limit_bytes)
    : log_n_(log_n), kind_(kind), primes_(std::move(primes)), kernels_(kernels), budget_(memory_limit_bytes) {
  check(log_n >= 6 && log_n <= 17, "ring degree is out of range");
  roots_.resize(primes_.size());
  tables_.resize(primes_.size());
  parallel_for(primes_.size(), [&](std::size_t i) {
    roots_[i] = root_of_unity(cyclotomic_order(), primes_[i]);
    tables_[i] = std::make_unique<simd::NttTables>(n(), primes_[i], roots_[i], conjugate_invariant(), kernels_.layout);
  });
  if (log_n_ > kTestedAtStart && !primes_.empty())
    check(simd::transforms_match(kernels_, n(), primes_.front(), roots_.front(), conjugate_invariant()),
          "the processor's transforms are wrong; SOTTO_KERNELS=scalar does without its extensions");
  pool_ = std::make_unique<BlockPool>(n(), budget_);
  packed_pool_ = std::make_unique<BlockPool>(n() / 8 * simd::kPackedBytes, budget_);
}

const simd::NttView& Ring::subring_table(std::size_t i, std::size_t period) const {
  const std::lock_guard lock(mutex_);
  auto& entry = subrings_[{i, period}];
  if (!entry) {
    const std::uint64_t root = simd::pow_mod(roots_[i], n() / period, primes_[i]);
    entry = std::make_unique<simd::NttTables>(period, primes_[i], root, conjugate_invariant(), kernels_.layout);
  }
  return entry->view();
}

std::uint64_t Ring::rotation_galois_element(std::int64_t steps) const {
  const auto count = static_cast<std::int64_t>(slots());
  const std::uint64_t turns = static_cast<std::uint64_t>(((steps % count) + count) % count);
  return simd::pow_mod(5, turns, cyclotomic_order());
}

const std::uint32_t* Ring::automorphism(std::uint64_t g) const {
  const std::lock_guard lock(mutex_);
  auto& table = automorphisms_[g];
  if (table.empty()) table = simd::make_automorphism_table(g, n(), conjugate_invariant());
  return table.data();
}

BasisConversion::BasisConversion(const Ring& ring, std::vector<std::size_t> from, std::vector<std::size_t> to,
                                 bool exact, std::span<const std::uint64_t> output_factor)
    : ring_(ring), from_(std::move(from)), to_(std::move(to)), exact_(exact) {
  auto product_without = [&](std::size_t skip, std::uint64_t q) {  // skip = size: the whole product
    std::uint64_t p = 1;
    for (std::size_t k = 0; k < from_.size(); ++k)
      if (k != skip) p = mul_mod(p, ring.prime(from_[k]) % q, q);
    return p;
  };
  auto centred = [](std::uint64_t x, std::uint64_t q) {
    return x > q / 2 ? static_cast<double>(x) - static_cast<double>(q) : static_cast<double>(x);
  };
  for (std::size_t c = 0; c < from_.size(); ++c) {
    const std::uint64_t q = ring.prime(from_[c]);
    input_factor_.push_back(inverse_mod(product_without(c, q), q));
    from_mod_.push_back(&ring.modulus(from_[c]));
  }
  for (std::size_t r = 0; r < to_.size(); ++r) {
    const std::uint64_t q = ring.prime(to_[r]);
    to_mod_.push_back(&ring.modulus(to_[r]));
    const std::uint64_t factor = output_factor.empty() ? 1 : output_factor[r];
    const auto weight = [&](std::size_t skip) { return centred(mul_mod(product_without(skip, q), factor, q), q); };
    for (std::size_t c = 0; c < from_.size(); ++c) weight_.push_back(weight(c));
    weight_.push_back(-weight(from_.size()));
  }
}

void BasisConversion::run(std::span<const std::uint64_t* const> src, std::span<std::uint64_t* const> dst) const {
  check(src.size() == from_.size() && dst.size() == to_.size(), "basis conversion: wrong number of limbs");
  const std::size_t n = ring_.n(), block = std::min<std::size_t>(n, 4096);
  parallel_for(n / block, [&](std::size_t b) {
    std::vector<const std::uint64_t*> in(src.begin(), src.end());
    std::vector<std::uint64_t*> out(dst.begin(), dst.end());
    for (auto& p : in) p += b * block;
    for (auto& p : out) p += b * block;
    ring_.kernels().matmul({in.data(), from_mod_.data(), out.data(), to_mod_.data(), weight_.data(), from_.size() + 1,
                            to_.size(), from_.size(), block, exact_});
  });
}

}  // namespace sotto::ring
