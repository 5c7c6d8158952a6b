#include "runtime/grouped_linear.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "runtime/integers.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

constexpr std::size_t kTerms = 8;     // of one call of the kernel
constexpr std::size_t kChunk = 4096;  // words of a polynomial at a time: its products stay in cache

// Every word of src `run` times; dst has n words, n and run are powers of two.
template <std::size_t run>
void repeat(u64* dst, const u64* src, std::size_t n) {
  for (std::size_t j = 0; j < n; j += run, ++src)
    for (std::size_t k = 0; k < run; ++k) dst[j + k] = *src;
}

// Words `at` to at + n - 1 of the polynomial whose transform has runs of equal words, one of them in src.
void spread(u64* dst, const u64* src, std::size_t at, std::size_t n, std::size_t run) {
  src += at / run;
  if (run >= n) {
    std::fill_n(dst, n, *src);
    return;
  }
  if (run == 2) return repeat<2>(dst, src, n);
  if (run == 4) return repeat<4>(dst, src, n);
  for (std::size_t j = 0; j < n; j += run, ++src) std::fill_n(dst + j, run, *src);
}

}  // namespace

// One product: a source and its weights.
struct GroupedLinear::Column {
  const ckks::PackedCiphertext* source = nullptr;
  Integers integers;
};

// sum += sum over columns of weights times source, modulo one prime.
void GroupedLinear::multiply(const std::vector<Column>& columns, std::size_t limb, std::size_t period,
                             ckks::Ciphertext& sum) const {
  const std::size_t n = ring_.n(), run = n / period, chunk = std::min(n, kChunk);
  const auto& kernels = ring_.kernels();
  const simd::ModulusView& m = ring_.modulus(limb);
  const simd::NttView& table = ring_.subring_table(limb, period);
  std::vector<simd::AlignedArray<u64>> values;
  for (std::size_t k = 0; k < std::min(kTerms, columns.size()); ++k) values.emplace_back(period);
  for (std::size_t first = 0; first < columns.size(); first += kTerms) {
    const std::size_t count = std::min(kTerms, columns.size() - first);
    parallel_for(count, [&](std::size_t k) {
      columns[first + k].integers.residues(kernels, m, values[k].data());
      kernels.ntt(values[k].data(), table);
    });
    parallel_for(n / chunk, [&](std::size_t c) {
      const std::size_t at = c * chunk;
      simd::AlignedArray<u64> repeated(run > 1 ? count * chunk : 0), product(2 * chunk);
      const u64* x[kTerms];
      const unsigned char *k0[kTerms], *k1[kTerms];
      for (std::size_t k = 0; k < count; ++k) {
        x[k] = values[k].data() + at;
        if (run > 1) {
          u64* to = repeated.data() + k * chunk;
          spread(to, values[k].data(), at, chunk, run);
          x[k] = to;
        }
        k0[k] = columns[first + k].source->c0[limb].data() + at * simd::kPackedBytes;
        k1[k] = columns[first + k].source->c1[limb].data() + at * simd::kPackedBytes;
      }
      u64 *s0 = sum.c0[limb].data() + at, *s1 = sum.c1[limb].data() + at;
      if (first == 0) {
        kernels.inner_product(s0, s1, x, k0, k1, count, chunk, m);
        return;
      }
      kernels.inner_product(product.data(), product.data() + chunk, x, k0, k1, count, chunk, m);
      kernels.add(s0, s0, product.data(), chunk, m);
      kernels.add(s1, s1, product.data() + chunk, chunk, m);
    });
  }
}

void GroupedLinear::add_bias(const Integers& bias, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const {
  const std::size_t n = ring_.n(), run = n / period;
  simd::AlignedArray<u64> values(period), repeated(n);
  bias.residues(ring_.kernels(), ring_.modulus(limb), values.data());
  ring_.kernels().ntt(values.data(), ring_.subring_table(limb, period));
  spread(repeated.data(), values.data(), 0, n, run);
  u64* c0 = sum.c0[limb].data();
  ring_.kernels().add(c0, c0, repeated.data(), n, ring_.modulus(limb));
}

std::optional<ckks::Ciphertext> GroupedLinear::run(
    const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources, int block,
    int giant) const {
  const plan::Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const std::size_t period = plan::step_period(plan_, step);
  plan::GroupedPlaintexts::Sum plaintexts = plaintexts_.of(task, block, giant);
  if (plaintexts.columns.empty() && giant != 0) return std::nullopt;
  std::vector<Column> columns;
  for (plan::GroupedPlaintexts::Column& c : plaintexts.columns)
    columns.push_back({sources[static_cast<std::size_t>(c.tap)][static_cast<std::size_t>(c.block)],
                       Integers(std::move(c.coefficients))});
  const Integers bias(std::move(plaintexts.bias));

  ckks::Ciphertext sum{ckks::make_poly(ring_, step.level), ckks::make_poly(ring_, step.level), step.scale};
  ckks::parallel_for_limbs(step.level, [&](std::size_t limb) {
    if (columns.empty()) {
      std::fill_n(sum.c0[limb].data(), ring_.n(), 0);
      std::fill_n(sum.c1[limb].data(), ring_.n(), 0);
    }
    multiply(columns, limb, period, sum);
    if (giant == 0) add_bias(bias, limb, period, sum);
  });
  return sum;
}

}  // namespace sotto::runtime
