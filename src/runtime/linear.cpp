#include "runtime/linear.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
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

// Columns of a product with that of the bias.
std::size_t stride_of(const plan::Product& p) { return p.width() + (p.first ? 1 : 0); }

// Where the weights of each product begin, and where those of the last end.
std::vector<std::size_t> weights_before(const std::vector<plan::Product>& products, std::size_t runs) {
  std::vector<std::size_t> begins{0};
  for (const plan::Product& p : products)
    begins.push_back(begins.back() + runs * static_cast<std::size_t>(p.rows) * stride_of(p));
  return begins;
}

}  // namespace

// One source row of a matrix product: input channel `channel` of tap `tap`, or the bias (tap < 0).
struct LinearMap::Column {
  int tap = -1;
  int channel = 0;
};

// The weights of one output channel.
struct LinearMap::Row {
  struct Part {
    std::size_t product, first;  // index, and the first of its columns
  };
  std::vector<Part> parts;
  std::vector<Column> columns;     // of all parts
  std::vector<Integers> integers;  // of each column
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

LinearMap::Patterns LinearMap::patterns(const plan::Task& task) const {
  const plan::Step& step = plan_.steps[task.step];
  const plan::Layout& out = plan_.tensors[step.output].layout;
  const std::size_t tile2 = static_cast<std::size_t>(plan_.tile) * plan_.tile;
  Patterns patterns(task.taps.size());
  for (std::size_t k = 0; k < task.taps.size(); ++k) {
    const plan::Tap& tap = task.taps[k];
    if (tap.mask.empty()) continue;
    std::vector<double> slots =
        plan::mask_values(tap, step.terms[static_cast<std::size_t>(tap.term)], out, plan_.tile, task.phase);
    slots.resize(period_);
    for (std::size_t j = tile2; j < period_; ++j) slots[j] = slots[j % tile2];
    patterns[k] = encoder_.embed_inverse(std::span<const double>(slots));
  }
  return patterns;
}

// What every output channel reads, product by product.
std::vector<LinearMap::Row> LinearMap::rows(const std::vector<plan::Product>& products) const {
  std::vector<Row> rows;
  for (std::size_t p = 0; p < products.size(); ++p) {
    const plan::Product& product = products[p];
    std::vector<Column> columns;
    for (const plan::Product::Columns& c : product.columns)
      for (int i = c.channel; i < c.channel + c.count; ++i) columns.push_back({c.tap, i});
    if (product.first) columns.push_back({});
    const auto end = static_cast<std::size_t>(product.row + product.rows);
    if (rows.size() < end) rows.resize(end);
    for (auto o = static_cast<std::size_t>(product.row); o < end; ++o) {
      rows[o].parts.push_back({p, rows[o].columns.size()});
      rows[o].columns.insert(rows[o].columns.end(), columns.begin(), columns.end());
    }
  }
  return rows;
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

std::vector<double> LinearMap::bias_coefficients(const plan::Task& task, std::size_t o) const {
  const plan::Step& step = plan_.steps[task.step];
  const plan::Layout& out = plan_.tensors[step.output].layout;
  const bool uniform = step.bias.size() == static_cast<std::size_t>(out.channels);
  const bool fills = out.phases.h * plan_.tile == out.height && out.phases.w * plan_.tile == out.width;
  if (uniform && fills && out.gap == plan::Axes(1)) return {std::nearbyint(step.bias[o] * step.scale)};
  const auto value = [&](int y, int x) {
    return uniform ? step.bias[o] : step.bias[(o * static_cast<std::size_t>(out.height) + y) * out.width + x];
  };
  return map_coefficients(out, task.phase, value, step.scale);
}

// The integer plaintexts of output channel o, column by column: one coefficient for a constant, else `period_`.
void LinearMap::set_plaintexts(const plan::Task& task, const std::vector<plan::WeightTable>& tables,
                               const Patterns& patterns, std::size_t o, Row& row) const {
  const plan::Step& step = plan_.steps[task.step];
  std::vector<std::vector<double>> result(row.columns.size());
  // What is rounded together: the plaintexts with masks of a term, and its constants.
  std::map<std::pair<int, bool>, std::vector<std::size_t>> together;  // columns
  for (std::size_t c = 0; c < row.columns.size(); ++c) {
    const Column& column = row.columns[c];
    if (column.tap < 0) {
      result[c] = bias_coefficients(task, o);
      continue;
    }
    const plan::Tap& tap = task.taps[column.tap];
    const plan::Term& term = step.terms[tap.term];
    const plan::Layout& in = plan_.tensors[term.source].layout;
    const double scale = step.scale / plan_.tensors[term.source].scale;
    const double* weights = tables[static_cast<std::size_t>(tap.term)].find(static_cast<int>(o), column.channel);
    if (weights == nullptr) {
      result[c] = {0};
      continue;
    }
    if (term.kind == plan::Term::Kind::full) {
      result[c] = map_coefficients(
          in, tap.source.phase, [&](int y, int x) { return weights[y * in.width + x]; }, scale);
      continue;
    }
    const double w = weights[tap.tap] * scale;
    const std::vector<double>& pattern = patterns[static_cast<std::size_t>(column.tap)];
    if (w == 0) {
      result[c] = {0};
      continue;
    }
    together[{tap.term, !pattern.empty()}].push_back(c);
    result[c] = pattern.empty() ? std::vector<double>{1} : pattern;
    for (double& v : result[c]) v *= w;
  }
  for (const auto& [which, list] : together) round(task, which.first, row, list, result);
  for (std::vector<double>& coefficients : result) row.integers.emplace_back(std::move(coefficients));
}

// Rounds the plaintexts of some columns that read one term's source.
void LinearMap::round(const plan::Task& task, int term, const Row& row, const std::vector<std::size_t>& list,
                      std::vector<std::vector<double>>& plaintexts) const {
  const plan::Term& of = plan_.steps[task.step].terms[static_cast<std::size_t>(term)];
  const plan::Rounding& rounding = roundings_[static_cast<std::size_t>(of.source)];
  std::vector<int> taps, channels;  // of the task; of the source
  for (std::size_t c : list) {
    taps.push_back(row.columns[c].tap);
    channels.push_back(row.columns[c].channel);
  }
  for (std::vector<int>* v : {&taps, &channels}) {
    std::ranges::sort(*v);
    v->erase(std::unique(v->begin(), v->end()), v->end());
  }
  std::vector<int> kernel;
  for (int t : taps) kernel.push_back(task.taps[static_cast<std::size_t>(t)].tap);
  std::vector<std::span<double>> vectors(taps.size() * channels.size());
  for (std::size_t c : list) {
    const auto at = [&](const std::vector<int>& sorted, int v) {
      return static_cast<std::size_t>(std::ranges::lower_bound(sorted, v) - sorted.begin());
    };
    vectors[at(channels, row.columns[c].channel) * taps.size() + at(taps, row.columns[c].tap)] = plaintexts[c];
  }
  rounding.round(rounding.taps(of, kernel), channels, vectors);
}

// weights: product after product [run][row][column], centred residues modulo prime `limb`. Columns go in blocks of a
// cache line of weights, because neighbouring runs lie far apart.
void LinearMap::fill_weights(const std::vector<plan::Product>& products, const std::vector<Row>& rows, std::size_t limb,
                             double* weights) const {
  constexpr std::size_t kBlock = 8;
  const u64 q = ring_.prime(limb);
  const simd::NttView& table = ring_.subring_table(limb, period_);
  const auto centred = [q](u64 v) {
    return v > q / 2 ? static_cast<double>(v) - static_cast<double>(q) : static_cast<double>(v);
  };
  const std::vector<std::size_t> begins = weights_before(products, runs_);
  parallel_for(rows.size(), [&](std::size_t o) {
    simd::AlignedArray<u64> values(period_);
    std::vector<double> block(runs_ * kBlock);
    for (const Row::Part& part : rows[o].parts) {
      const plan::Product& product = products[part.product];
      const std::size_t stride = stride_of(product), row = o - static_cast<std::size_t>(product.row);
      double* to = weights + begins[part.product];
      for (std::size_t c0 = 0; c0 < stride; c0 += kBlock) {
        const std::size_t count = std::min(kBlock, stride - c0);
        for (std::size_t k = 0; k < count; ++k) {
          const Integers& integers = rows[o].integers[part.first + c0 + k];
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
          std::copy_n(block.data() + r * kBlock, count,
                      to + (r * static_cast<std::size_t>(product.rows) + row) * stride + c0);
      }
    }
  });
}

std::vector<ckks::Ciphertext> LinearMap::run(
    const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources) const {
  const plan::Step& step = plan_.steps[task.step];
  const plan::Layout& output = plan_.tensors[step.output].layout;
  const auto channels = static_cast<std::size_t>(output.channels);
  const std::vector<plan::Product> products = plan::products_of(plan_, task);
  const std::vector<std::size_t> begins = weights_before(products, runs_);
  const std::vector<unsigned char> zeros(run_length_ * simd::kPackedBytes, 0);
  std::vector<unsigned char> ones = zeros;
  for (std::size_t j = 0; j < run_length_; ++j) ones[j * simd::kPackedBytes] = 1;

  std::vector<plan::WeightTable> tables;
  for (const plan::Term& t : step.terms) tables.emplace_back(t, plan_.tensors[t.source].layout, output);
  const Patterns tap_patterns = patterns(task);
  std::vector<Row> rows = this->rows(products);
  parallel_for(channels, [&](std::size_t o) { set_plaintexts(task, tables, tap_patterns, o, rows[o]); });
  std::size_t widest = 1, tallest = channels;
  for (const plan::Product& p : products) widest = std::max(widest, stride_of(p));

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
    simd::AlignedArray<double> weights = buffers.take(begins.back());
    fill_weights(products, rows, limb, weights.data());
    const simd::ModulusView& modulus = ring_.modulus(limb);
    const std::vector<const simd::ModulusView*> mod(std::max(widest, tallest), &modulus);
    parallel_for(runs_, [&](std::size_t r) {
      std::vector<const unsigned char*> src;
      std::vector<u64*> dst;
      simd::AlignedArray<u64> sums(0);  // of a product that adds to what is there
      const std::size_t at = r * run_length_ * simd::kPackedBytes;
      for (std::size_t p = 0; p < products.size(); ++p) {
        const plan::Product& product = products[p];
        const std::size_t stride = stride_of(product), height = static_cast<std::size_t>(product.rows);
        if (stride == 0) continue;
        // Both polynomials of every source; the bias is a constant in the first.
        src.resize(2 * stride);
        std::size_t column = 0;
        for (const plan::Product::Columns& c : product.columns) {
          for (int i = c.channel; i < c.channel + c.count; ++i, ++column) {
            const ckks::PackedCiphertext& from = *sources[c.tap][i];
            src[column] = from.c0[limb].data() + at;
            src[stride + column] = from.c1[limb].data() + at;
          }
        }
        if (product.first) {
          src[column] = ones.data();
          src[stride + column] = zeros.data();
        } else if (sums.size() < 2 * height * run_length_) {
          sums = simd::AlignedArray<u64>(2 * height * run_length_);
        }
        dst.resize(2 * height);
        const auto word = [&](std::size_t half, std::size_t row) {
          ckks::Ciphertext& c = out[static_cast<std::size_t>(product.row) + row];
          return (half == 0 ? c.c0 : c.c1)[limb].data() + r * run_length_;
        };
        for (std::size_t half = 0; half < 2; ++half)
          for (std::size_t row = 0; row < height; ++row)
            dst[half * height + row] =
                product.first ? word(half, row) : sums.data() + (half * height + row) * run_length_;
        simd::MatmulArgs args{
            nullptr, mod.data(), dst.data(), mod.data(),  weights.data() + begins[p] + r * height * stride,
            stride,  height,     stride,     run_length_, false};
        args.packed = src.data();
        args.sets = 2;
        ring_.kernels().matmul(args);
        if (product.first) continue;
        for (std::size_t half = 0; half < 2; ++half)
          for (std::size_t row = 0; row < height; ++row)
            ring_.kernels().add(word(half, row), word(half, row), dst[half * height + row], run_length_, modulus);
      }
    });
    buffers.give(std::move(weights));
  });
  return out;
}

}  // namespace sotto::runtime
