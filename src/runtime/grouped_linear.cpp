#include "runtime/grouped_linear.h"

#include <algorithm>
#include <bit>
#include <cmath>

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

// One product: a source and its weights: values in slots, then coefficients, which are integers.
struct GroupedLinear::Column {
  const ckks::PackedCiphertext* source = nullptr;
  const plan::Tap* tap = nullptr;
  int in_block = 0;
  double scale = 1;
  std::vector<double> slots;
  Integers integers;

  // Rounds the polynomial with these coefficients, times the scale.
  void set_coefficients(std::vector<double> coefficients);
};

void GroupedLinear::Column::set_coefficients(std::vector<double> coefficients) {
  slots = {};
  for (double& v : coefficients) v = std::nearbyint(v * scale);
  integers = Integers(std::move(coefficients));
}

const ckks::Encoder& GroupedLinear::encoder(std::size_t period) const {
  const std::scoped_lock lock(mutex_);
  return encoders_.try_emplace(period, std::countr_zero(period), ring::RingKind::conjugate_invariant).first->second;
}

// The weights of a column in the slots of its source; empty if all are zero.
std::vector<double> GroupedLinear::tap_slots(const plan::Task& task, const plan::WeightTable& weights,
                                             const Column& column, int block, int giant, std::size_t period) const {
  const plan::Tap& tap = *column.tap;
  const plan::Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const plan::Term& term = step.terms[static_cast<std::size_t>(tap.term)];
  const plan::Layout& in = plan_.tensors[static_cast<std::size_t>(term.source)].layout;
  const plan::Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  const int tile2 = plan_.tile * plan_.tile, ahead = giant * step.baby, move = ahead + tap.shift;
  const bool full = term.kind == plan::Term::Kind::full;
  std::vector<double> slots, factors;
  if (!tap.mask.empty()) factors = plan::mask_values(tap, term, out, plan_.tile, task.phase);
  for (int q = 0; q < static_cast<int>(period) / tile2; ++q) {
    // Place q of the rotated source holds what was at place q + shift, and the giant step takes it to place q - ahead;
    // with several images both may lie in another image than q.
    const int s = ((q - ahead) % out.group + out.group) % out.group;
    const int from = plan_.batch == 1 ? (s + move) % in.group : s + move;
    if (from < 0 || from >= in.group) continue;
    const int o = out.channel_at(block, s), i = in.channel_at(column.in_block, from);
    if (o < 0 || i < 0 || plan::channel_move(plan_, in, s, i % in.group) != move) continue;
    const double* w = weights.find(o, i);
    if (w == nullptr || (!full && w[tap.tap] == 0)) continue;
    if (slots.empty()) slots.resize(period);
    double* to = slots.data() + static_cast<std::ptrdiff_t>(q) * tile2;
    if (full) {
      for (int y = 0; y < in.height; ++y) {
        for (int x = 0; x < in.width; ++x) {
          const plan::Place place = plan::place_of(in, plan_.tile, y, x);
          if (place.phase == tap.source.phase) to[place.position] = w[y * in.width + x];
        }
      }
    } else {
      for (int p = 0; p < tile2; ++p)
        to[p] = factors.empty() ? w[tap.tap] : w[tap.tap] * factors[static_cast<std::size_t>(p)];
    }
  }
  if (std::all_of(slots.begin(), slots.end(), [](double v) { return v == 0; })) slots.clear();
  return slots;
}

std::vector<double> GroupedLinear::bias_slots(const plan::Task& task, int block, std::size_t period) const {
  const plan::Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const plan::Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  const int tile2 = plan_.tile * plan_.tile;
  const bool uniform = step.bias.size() == static_cast<std::size_t>(out.channels);
  std::vector<double> slots(period);
  for (int s = 0; s < static_cast<int>(period) / tile2; ++s) {
    const int o = out.channel_at(block, s % out.group);
    if (o < 0) continue;
    for (int y = 0; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) {
        const plan::Place place = plan::place_of(out, plan_.tile, y, x);
        if (place.phase == task.phase)
          slots[static_cast<std::size_t>(s * tile2 + place.position)] =
              uniform ? step.bias[static_cast<std::size_t>(o)]
                      : step.bias[(static_cast<std::size_t>(o) * out.height + y) * out.width + x];
      }
    }
  }
  return slots;
}

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

void GroupedLinear::add_bias(const Column& bias, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const {
  const std::size_t n = ring_.n(), run = n / period;
  simd::AlignedArray<u64> values(period), repeated(n);
  bias.integers.residues(ring_.kernels(), ring_.modulus(limb), values.data());
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
  std::vector<Column> columns;
  std::vector<plan::WeightTable> tables;
  const plan::Layout& output = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
  for (const plan::Term& t : step.terms)
    tables.emplace_back(t, plan_.tensors[static_cast<std::size_t>(t.source)].layout, output);
  for (std::size_t k = 0; k < task.taps.size(); ++k) {
    const int source = step.terms[static_cast<std::size_t>(task.taps[k].term)].source;
    const double scale = step.scale / plan_.tensors[static_cast<std::size_t>(source)].scale;
    for (std::size_t i = 0; i < sources[k].size(); ++i)
      columns.push_back({sources[k][i], &task.taps[k], static_cast<int>(i), scale, {}, {}});
  }
  parallel_for(columns.size(), [&](std::size_t c) {
    const plan::WeightTable& weights = tables[static_cast<std::size_t>(columns[c].tap->term)];
    columns[c].slots = tap_slots(task, weights, columns[c], block, giant, period);
  });
  std::erase_if(columns, [](const Column& c) { return c.slots.empty(); });
  if (columns.empty() && giant != 0) return std::nullopt;
  Column bias{nullptr, nullptr, 0, step.scale, {}, {}};
  if (giant == 0) bias.slots = bias_slots(task, block, period);
  // Two plaintexts share a transform.
  const std::size_t plaintexts = columns.size() + (giant == 0 ? 1 : 0);
  const auto plaintext = [&](std::size_t k) -> Column& { return k < columns.size() ? columns[k] : bias; };
  parallel_for((plaintexts + 1) / 2, [&](std::size_t pair) {
    Column none, &a = plaintext(2 * pair), &b = 2 * pair + 1 < plaintexts ? plaintext(2 * pair + 1) : none;
    auto [first, second] = encoder(period).embed_inverse_pair(a.slots, b.slots);
    a.set_coefficients(std::move(first));
    b.set_coefficients(std::move(second));
  });

  ckks::Ciphertext sum;
  sum.scale = step.scale;
  for (int l = 0; l < step.limbs; ++l) {
    sum.c0.push_back(ring_.limb());
    sum.c1.push_back(ring_.limb());
  }
  parallel_for(static_cast<std::size_t>(step.limbs), [&](std::size_t limb) {
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
