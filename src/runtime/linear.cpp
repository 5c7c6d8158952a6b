#include "runtime/linear.h"

#include <sys/mman.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

// How many runs a thread multiplies in a row: more do not read memory faster.
constexpr std::size_t kMostTogether = 8;
constexpr std::size_t kPiecesPerThread = 4;

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

// The weights of one result.
struct LinearMap::Row {
  struct Part {
    std::size_t product, first;  // index, and the first of its columns
  };
  std::vector<Part> parts;
  std::vector<plan::Column> columns;  // of all parts
  std::vector<Integers> integers;     // of each column
};

LinearMap::LinearMap(const plan::Plan& plan, const ring::Ring& ring)
    : plan_(plan),
      ring_(ring),
      plaintexts_(plan),
      in_gaps_(plan),
      period_(plaintexts_.period()),
      runs_(period_),
      run_length_(ring.n() / period_) {
  check(ring.conjugate_invariant() && run_length_ >= 16, "the ring is too small for this tile");
}

// What every result reads, product by product.
std::vector<LinearMap::Row> LinearMap::rows(const std::vector<plan::Product>& products) const {
  std::vector<Row> rows;
  for (std::size_t p = 0; p < products.size(); ++p) {
    const plan::Product& product = products[p];
    std::vector<plan::Column> columns;
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

// Runs [first, end) of a product modulo prime `limb`, one after the other, so that sources are read in long pieces.
void LinearMap::multiply(const plan::Product& product, const double* weights, std::size_t limb, std::size_t first,
                         std::size_t end, const Sources& sources, std::vector<ckks::Ciphertext>& out) const {
  const std::size_t width = product.width(), stride = stride_of(product);
  const auto height = static_cast<std::size_t>(product.rows);
  const std::vector<const simd::ModulusView*> mod(std::max(width, height), &ring_.modulus(limb));
  // Both polynomials of every source and result.
  std::vector<const unsigned char*> src(2 * width);
  std::vector<u64*> dst(2 * height);
  for (std::size_t r = first; r < end; ++r) {
    const std::size_t at = r * run_length_;
    std::size_t column = 0;
    for (const plan::Product::Columns& c : product.columns) {
      for (int i = c.channel; i < c.channel + c.count; ++i, ++column) {
        const ckks::PackedCiphertext& from = *sources[static_cast<std::size_t>(c.tap)][static_cast<std::size_t>(i)];
        src[column] = from.c0[limb].data() + at * simd::kPackedBytes;
        src[width + column] = from.c1[limb].data() + at * simd::kPackedBytes;
      }
    }
    for (std::size_t row = 0; row < height; ++row) {
      ckks::Ciphertext& c = out[static_cast<std::size_t>(product.row) + row];
      dst[row] = c.c0[limb].data() + at;
      dst[height + row] = c.c1[limb].data() + at;
    }
    simd::MatmulArgs args{nullptr, mod.data(), dst.data(), mod.data(),  weights + r * height * stride,
                          stride,  height,     width,      run_length_, false};
    args.packed = src.data();
    args.sets = 2;
    // The bias is a constant in the first polynomial.
    args.start = product.first ? simd::SumStart::constant : simd::SumStart::present;
    ring_.kernels().matmul(args);
  }
}

std::vector<ckks::Ciphertext> LinearMap::run(const plan::Task& task, const Sources& sources) const {
  const std::vector<plan::Product> products = plan::products_of(plan_, task);
  const plan::TaskPlaintexts plaintexts(plaintexts_, task);
  std::vector<Row> rows = this->rows(products);
  parallel_for(rows.size(), [&](std::size_t o) {
    for (std::vector<double>& coefficients : plaintexts.row(o, rows[o].columns))
      rows[o].integers.emplace_back(std::move(coefficients));
  });
  return sums(plan_.steps[task.step], products, rows, sources);
}

std::vector<ckks::Ciphertext> LinearMap::run_giants(const plan::Task& task, const Sources& sources,
                                                    std::span<const plan::GiantRow> which) const {
  const std::vector<plan::Product> products = plan::products_in_gaps(plan_, task, which);
  std::vector<Row> rows = this->rows(products);
  parallel_for(rows.size(), [&](std::size_t r) {
    plan::GroupedPlaintexts::Sum sum = in_gaps_.of(task, which[r].block, which[r].giant);
    std::size_t found = 0;
    const auto coefficients = [&](const plan::Column& column) -> std::vector<double> {
      if (column.tap < 0) return sum.bias.empty() ? std::vector<double>{0} : std::move(sum.bias);
      const auto place = [](const plan::GroupedPlaintexts::Column& c) { return std::pair(c.tap, c.block); };
      const std::pair wanted(column.tap, column.channel);
      const auto at = std::ranges::lower_bound(sum.columns, wanted, {}, place);
      if (at == sum.columns.end() || place(*at) != wanted) return {0};
      ++found;
      return std::move(at->coefficients);
    };
    for (const plan::Column& column : rows[r].columns) rows[r].integers.emplace_back(coefficients(column));
    check(found == sum.columns.size(), "a weight without a column");
  });
  return sums(plan_.steps[task.step], products, rows, sources);
}

// One ciphertext for each row.
std::vector<ckks::Ciphertext> LinearMap::sums(const plan::Step& step, const std::vector<plan::Product>& products,
                                              const std::vector<Row>& rows, const Sources& sources) const {
  const std::vector<std::size_t> begins = weights_before(products, runs_);
  const auto limbs = static_cast<std::size_t>(step.level.count());
  const auto pieces = kPiecesPerThread * static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
  const std::size_t together = std::clamp<std::size_t>(runs_ * limbs / pieces, 1, kMostTogether);

  Buffers buffers;  // all of one size
  std::vector<ckks::Ciphertext> out(rows.size());
  for (auto& c : out) c = {ckks::make_poly(ring_, step.level), ckks::make_poly(ring_, step.level), step.scale};
  ckks::parallel_for_limbs(step.level, [&](std::size_t limb) {
    simd::AlignedArray<double> weights = buffers.take(begins.back());
    fill_weights(products, rows, limb, weights.data());
    parallel_for((runs_ + together - 1) / together, [&](std::size_t piece) {
      const std::size_t first = piece * together, end = std::min(first + together, runs_);
      for (std::size_t p = 0; p < products.size(); ++p)
        multiply(products[p], weights.data() + begins[p], limb, first, end, sources, out);
    });
    buffers.give(std::move(weights));
  });
  return out;
}

}  // namespace sotto::runtime
