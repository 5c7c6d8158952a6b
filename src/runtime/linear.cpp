#include "runtime/linear.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

// Large arrays, used again by one limb after another: fresh memory costs as much as filling it.
class Buffers {
 public:
  simd::AlignedArray<double> take(std::size_t size) {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return huge_array(size);
    simd::AlignedArray<double> a = std::move(free_.back());
    free_.pop_back();
    return a;
  }
  void give(simd::AlignedArray<double> a) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(a));
  }

 private:
  static simd::AlignedArray<double> huge_array(std::size_t size) {
    simd::AlignedArray<double> a(size);
    const auto begin = (reinterpret_cast<std::uintptr_t>(a.data()) + 4095) / 4096 * 4096;
    const auto end = reinterpret_cast<std::uintptr_t>(a.data() + size) / 4096 * 4096;
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
    return a;
  }

  std::mutex mutex_;
  std::vector<simd::AlignedArray<double>> free_;
};

}  // namespace

// One source row of the matrix product: input channel `channel` of tap `tap`, or the bias (tap < 0).
struct LinearMap::Column {
  int tap = -1;
  int channel = 0;
  std::vector<double> pattern;  // subring coefficients of the mask; empty: all ones
};

LinearMap::LinearMap(const plan::Plan& plan, const ring::Ring& ring)
    : plan_(plan),
      ring_(ring),
      period_(std::max<std::size_t>(64, static_cast<std::size_t>(plan.tile) * plan.tile)),
      runs_(period_),
      run_length_(ring.n() / period_),
      encoder_(std::countr_zero(period_), ring::RingKind::conjugate_invariant) {
  for (const plan::Tensor& t : plan.tensors) roundings_.emplace_back(t);
  check(ring.conjugate_invariant() && run_length_ >= 16, "the ring is too small for this tile");
}

std::vector<LinearMap::Column> LinearMap::make_columns(const plan::Task& task) const {
  const plan::Step& step = plan_.steps[task.step];
  const std::size_t tile2 = static_cast<std::size_t>(plan_.tile) * plan_.tile;
  std::vector<Column> columns;
  for (std::size_t k = 0; k < task.taps.size(); ++k) {
    const plan::Tap& tap = task.taps[k];
    std::vector<double> pattern;
    if (!tap.mask.empty()) {
      std::vector<double> slots(period_);
      for (std::size_t j = 0; j < period_; ++j) slots[j] = tap.mask[j % tile2];
      pattern = encoder_.embed_inverse(std::span<const double>(slots));
    }
    const int channels = plan_.tensors[step.terms[tap.term].source].layout.channels;
    for (int i = 0; i < channels; ++i) columns.push_back({static_cast<int>(k), i, pattern});
  }
  columns.push_back({});
  return columns;
}

// Integer coefficients of what a bias or a whole-map weight puts on the pixels of one phase: `value(y, x)` in the
// slots.
template <class F>
std::vector<double> LinearMap::map_coefficients(const plan::Layout& layout, int phase, F&& value, double factor) const {
  const std::size_t tile2 = static_cast<std::size_t>(plan_.tile) * plan_.tile;
  std::vector<double> slots(period_);
  for (int y = 0; y < layout.height; ++y) {
    for (int x = 0; x < layout.width; ++x) {
      const plan::Place place = plan::place_of(layout, plan_.tile, y, x);
      if (place.phase == phase) slots[place.position] = value(y, x);
    }
  }
  const bool same = std::all_of(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(tile2),
                                [&](double v) { return v == slots[0]; });
  if (same) return {std::nearbyint(slots[0] * factor)};
  for (std::size_t j = tile2; j < period_; ++j) slots[j] = slots[j % tile2];
  std::vector<double> coefficients = encoder_.embed_inverse(std::span<const double>(slots));
  for (double& v : coefficients) v = std::nearbyint(v * factor);
  return coefficients;
}

// The integer plaintexts of one output channel, column by column: one coefficient for a constant, else `period_`.
std::vector<Integers> LinearMap::plaintexts(const plan::Task& task, const std::vector<Column>& columns,
                                            std::size_t o) const {
  const plan::Step& step = plan_.steps[task.step];
  const plan::Layout& out = plan_.tensors[step.output].layout;
  const auto channels = static_cast<std::size_t>(out.channels);
  std::vector<std::vector<double>> result(columns.size());
  // What is rounded together: the plaintexts with masks of a term, and its constants.
  std::map<std::pair<int, bool>, std::vector<std::size_t>> together;  // columns by term and kind
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    if (column.tap < 0) {  // bias
      const bool uniform = step.bias.size() == channels;
      if (uniform && out.phases * plan_.tile == out.height && out.height == out.width && out.gap == 1) {
        result[c] = {std::nearbyint(step.bias[o] * step.scale)};
      } else {
        const auto value = [&](int y, int x) {
          return uniform ? step.bias[o] : step.bias[(o * static_cast<std::size_t>(out.height) + y) * out.width + x];
        };
        result[c] = map_coefficients(out, task.phase, value, step.scale);
      }
      continue;
    }
    const plan::Tap& tap = task.taps[column.tap];
    const plan::Term& term = step.terms[tap.term];
    const plan::Layout& in = plan_.tensors[term.source].layout;
    const double scale = step.scale / plan_.tensors[term.source].scale;
    const std::size_t pair = o * static_cast<std::size_t>(in.channels) + column.channel;
    if (term.kind == plan::Term::Kind::full) {
      const double* w = term.weights.data() + pair * static_cast<std::size_t>(in.height) * in.width;
      result[c] = map_coefficients(
          in, tap.source.phase, [&](int y, int x) { return w[y * in.width + x]; }, scale);
      continue;
    }
    const double w = term.weights[pair * static_cast<std::size_t>(term.kernel_h) * term.kernel_w + tap.tap] * scale;
    if (column.pattern.empty()) {
      result[c] = {w};
      together[{tap.term, false}].push_back(c);
      continue;
    }
    result[c].resize(period_);
    for (std::size_t k = 0; k < period_; ++k) result[c][k] = column.pattern[k] * w;
    together[{tap.term, true}].push_back(c);
  }
  for (const auto& [which, list] : together) {
    const plan::Term& term = step.terms[static_cast<std::size_t>(which.first)];
    const plan::Rounding& rounding = roundings_[static_cast<std::size_t>(term.source)];
    std::vector<int> taps;
    for (std::size_t c : list) {
      const int tap = task.taps[static_cast<std::size_t>(columns[c].tap)].tap;
      if (taps.empty() || taps.back() != tap) taps.push_back(tap);  // columns come tap by tap
    }
    std::vector<std::span<double>> vectors(rounding.channels().size * taps.size());
    std::size_t t = 0;
    for (std::size_t c : list) {
      if (task.taps[static_cast<std::size_t>(columns[c].tap)].tap != taps[t]) ++t;
      const bool zero = std::ranges::all_of(result[c], [](double x) { return x == 0; });
      if (!zero) vectors[static_cast<std::size_t>(columns[c].channel) * taps.size() + t] = result[c];
    }
    rounding.round(rounding.taps(term, taps), vectors);
  }
  return {std::make_move_iterator(result.begin()), std::make_move_iterator(result.end())};
}

// weights: [run][out channel][column], centred residues modulo prime `limb`. Columns go in blocks of a cache line of
// weights, because neighbouring runs lie far apart.
void LinearMap::fill_weights(const std::vector<std::vector<Integers>>& plaintexts, std::size_t limb, double* weights,
                             std::size_t stride) const {
  constexpr std::size_t kBlock = 8;
  const std::size_t channels = plaintexts.size();
  const u64 q = ring_.prime(limb);
  const simd::NttView& table = ring_.subring_table(limb, period_);
  const auto centred = [q](u64 v) {
    return v > q / 2 ? static_cast<double>(v) - static_cast<double>(q) : static_cast<double>(v);
  };
  parallel_for(channels, [&](std::size_t o) {
    simd::AlignedArray<u64> values(period_);
    std::vector<double> block(runs_ * kBlock);
    for (std::size_t c0 = 0; c0 < plaintexts[o].size(); c0 += kBlock) {
      const std::size_t count = std::min(kBlock, plaintexts[o].size() - c0);
      for (std::size_t k = 0; k < count; ++k) {
        const Integers& integers = plaintexts[o][c0 + k];
        integers.residues(ring_.kernels(), ring_.modulus(limb), values.data());
        if (integers.size() == 1) {
          const double w = centred(values[0]);
          for (std::size_t r = 0; r < runs_; ++r) block[r * kBlock + k] = w;
          continue;
        }
        ring_.kernels().ntt(values.data(), table);  // subring coefficients to one word per run
        for (std::size_t r = 0; r < runs_; ++r) block[r * kBlock + k] = centred(values[r]);
      }
      for (std::size_t r = 0; r < runs_; ++r)
        std::copy_n(block.data() + r * kBlock, count, weights + (r * channels + o) * stride + c0);
    }
  });
}

std::vector<ckks::Ciphertext> LinearMap::run(
    const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources) const {
  const plan::Step& step = plan_.steps[task.step];
  const std::size_t channels = static_cast<std::size_t>(plan_.tensors[step.output].layout.channels);
  const std::vector<Column> columns = make_columns(task);
  const std::size_t count = columns.size() - 1, stride = columns.size();
  const std::vector<unsigned char> zeros(run_length_ * simd::kPackedBytes, 0);
  std::vector<unsigned char> ones = zeros;
  for (std::size_t j = 0; j < run_length_; ++j) ones[j * simd::kPackedBytes] = 1;

  std::vector<std::vector<Integers>> integers(channels);
  parallel_for(channels, [&](std::size_t o) { integers[o] = plaintexts(task, columns, o); });

  Buffers buffers;  // all of one size
  std::vector<ckks::Ciphertext> out(channels);
  for (auto& c : out) {
    c.scale = step.scale;
    for (int l = 0; l < step.limbs; ++l) {
      c.c0.push_back(ring_.limb());
      c.c1.push_back(ring_.limb());
    }
  }
  parallel_for(static_cast<std::size_t>(step.limbs), [&](std::size_t limb) {
    simd::AlignedArray<double> weights = buffers.take(runs_ * channels * stride);
    fill_weights(integers, limb, weights.data(), stride);
    const std::vector<const simd::ModulusView*> mod(std::max(columns.size(), channels), &ring_.modulus(limb));
    parallel_for(runs_, [&](std::size_t r) {
      // Both polynomials of every source; the bias is a constant in the first.
      std::vector<const unsigned char*> src(2 * columns.size());
      std::vector<u64*> dst(2 * channels);
      const std::size_t at = r * run_length_ * simd::kPackedBytes;
      for (std::size_t c = 0; c < count; ++c) {
        const ckks::PackedCiphertext& from = *sources[columns[c].tap][columns[c].channel];
        src[c] = from.c0[limb].data() + at;
        src[columns.size() + c] = from.c1[limb].data() + at;
      }
      src[count] = ones.data();
      src[columns.size() + count] = zeros.data();
      for (std::size_t o = 0; o < channels; ++o) {
        dst[o] = out[o].c0[limb].data() + r * run_length_;
        dst[channels + o] = out[o].c1[limb].data() + r * run_length_;
      }
      simd::MatmulArgs args{nullptr, mod.data(), dst.data(), mod.data(),  weights.data() + r * channels * stride,
                            stride,  channels,   count + 1,  run_length_, false};
      args.packed = src.data();
      args.sets = 2;
      ring_.kernels().matmul(args);
    });
    buffers.give(std::move(weights));
  });
  return out;
}

}  // namespace sotto::runtime
