#include "runtime/linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/primes.h"
#include "runtime/rounding.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

// round(v) modulo q, for any finite v: a double is an integer of 53 bits times a power of two.
u64 rounded_residue(double v, u64 q) {
  const double r = std::nearbyint(v);
  if (std::abs(r) < 0x1p62) {
    const std::int64_t m = static_cast<std::int64_t>(r) % static_cast<std::int64_t>(q);
    return static_cast<u64>(m < 0 ? m + static_cast<std::int64_t>(q) : m);
  }
  int exponent = 0;
  const double magnitude = std::ldexp(std::frexp(std::abs(r), &exponent), 53);
  const u64 power = simd::pow_mod(2, static_cast<u64>(exponent - 53), q);
  const u64 m = ring::mul_mod(static_cast<u64>(magnitude) % q, power, q);
  return r < 0 && m != 0 ? q - m : m;
}

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

// Integer coefficients of the masked convolution taps of one output channel, in the order of their columns.
std::vector<double> LinearMap::masked_coefficients(const plan::Task& task, const std::vector<Column>& columns,
                                                   std::size_t o) const {
  const plan::Step& step = plan_.steps[task.step];
  std::vector<double> values;
  std::map<std::pair<int, int>, std::vector<std::size_t>> members;  // (term, channel): offsets into values
  for (const Column& column : columns) {
    if (column.pattern.empty()) continue;
    const plan::Tap& tap = task.taps[column.tap];
    const plan::Term& term = step.terms[tap.term];
    const auto in_channels = static_cast<std::size_t>(plan_.tensors[term.source].layout.channels);
    const double w =
        term.weights[(o * in_channels + column.channel) * static_cast<std::size_t>(term.kernel_h) * term.kernel_w +
                     tap.tap] *
        step.scale / plan_.tensors[term.source].scale;
    members[{tap.term, column.channel}].push_back(values.size());
    for (double p : column.pattern) values.push_back(p * w);
  }
  std::map<int, std::vector<std::vector<std::span<double>>>> groups;  // by term
  for (const auto& [where, offsets] : members) {
    auto& group = groups[where.first].emplace_back();
    for (std::size_t at : offsets) group.emplace_back(values.data() + at, period_);
  }
  for (const auto& [term, list] : groups) round_together(list);
  return values;
}

// weights: [run][out channel][column], centred residues modulo prime `limb`.
void LinearMap::fill_weights(const plan::Task& task, const std::vector<Column>& columns, std::size_t limb,
                             double* weights, std::size_t stride) const {
  const plan::Step& step = plan_.steps[task.step];
  const plan::Layout& out = plan_.tensors[step.output].layout;
  const std::size_t channels = static_cast<std::size_t>(out.channels),
                    tile2 = static_cast<std::size_t>(plan_.tile) * plan_.tile;
  const auto q = static_cast<std::int64_t>(ring_.prime(limb));
  const simd::NttView& table = ring_.subring_table(limb, period_);
  auto centred = [q](u64 v) {
    const auto s = static_cast<std::int64_t>(v);
    return static_cast<double>(s > q / 2 ? s - q : s);
  };
  parallel_for(channels, [&](std::size_t o) {
    simd::AlignedArray<u64> values(period_);
    std::vector<double> slots(period_);
    auto scatter = [&](std::size_t c) {  // values: subring coefficients -> one word per run
      ring_.kernels().ntt(values.data(), table);
      for (std::size_t r = 0; r < runs_; ++r) weights[(r * channels + o) * stride + c] = centred(values[r]);
    };
    auto constant = [&](std::size_t c, double v) {
      const double w = centred(rounded_residue(v, ring_.prime(limb)));
      for (std::size_t r = 0; r < runs_; ++r) weights[(r * channels + o) * stride + c] = w;
    };
    auto residues = [&](std::span<const double> coefficients, double factor) {
      for (std::size_t k = 0; k < period_; ++k)
        values[k] = rounded_residue(coefficients[k] * factor, ring_.prime(limb));
    };
    const std::vector<double> rounded = masked_coefficients(task, columns, o);
    std::size_t next_masked = 0;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Column& column = columns[c];
      if (column.tap < 0) {  // bias
        std::fill(slots.begin(), slots.end(), 0.0);
        if (step.bias.size() == channels && out.phases * plan_.tile == out.height && out.height == out.width &&
            out.gap == 1) {
          constant(c, step.bias[o] * step.scale);
          continue;
        }
        for (int y = 0; y < out.height; ++y) {
          for (int x = 0; x < out.width; ++x) {
            const plan::Place place = plan::place_of(out, plan_.tile, y, x);
            if (place.phase != task.phase) continue;
            const std::size_t at = (o * static_cast<std::size_t>(out.height) + y) * out.width + x;
            slots[place.position] = step.bias.size() == channels ? step.bias[o] : step.bias[at];
          }
        }
        for (std::size_t j = tile2; j < period_; ++j) slots[j] = slots[j % tile2];
        residues(encoder_.embed_inverse(std::span<const double>(slots)), step.scale);
        scatter(c);
        continue;
      }
      const plan::Tap& tap = task.taps[column.tap];
      const plan::Term& term = step.terms[tap.term];
      const plan::Layout& in = plan_.tensors[term.source].layout;
      const double scale = step.scale / plan_.tensors[term.source].scale;
      const std::size_t pair = o * static_cast<std::size_t>(in.channels) + column.channel;
      if (term.kind == plan::Term::Kind::full) {
        std::fill(slots.begin(), slots.end(), 0.0);
        const double* w = term.weights.data() + pair * static_cast<std::size_t>(in.height) * in.width;
        for (int y = 0; y < in.height; ++y) {
          for (int x = 0; x < in.width; ++x) {
            const plan::Place place = plan::place_of(in, plan_.tile, y, x);
            if (place.phase == tap.source.phase) slots[place.position] = w[y * in.width + x];
          }
        }
        const bool same = std::all_of(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(tile2),
                                      [&](double v) { return v == slots[0]; });
        if (same) {
          constant(c, slots[0] * scale);
          continue;
        }
        for (std::size_t j = tile2; j < period_; ++j) slots[j] = slots[j % tile2];
        residues(encoder_.embed_inverse(std::span<const double>(slots)), scale);
        scatter(c);
        continue;
      }
      if (column.pattern.empty()) {
        constant(c, term.weights[pair * static_cast<std::size_t>(term.kernel_h) * term.kernel_w + tap.tap] * scale);
      } else {
        residues({rounded.data() + next_masked, period_}, 1);
        next_masked += period_;
        scatter(c);
      }
    }
  });
}

std::vector<ckks::Ciphertext> LinearMap::run(
    const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources) const {
  const plan::Step& step = plan_.steps[task.step];
  const std::size_t channels = static_cast<std::size_t>(plan_.tensors[step.output].layout.channels);
  const std::vector<Column> columns = make_columns(task);
  const std::size_t count = columns.size() - 1, stride = columns.size();
  std::vector<unsigned char> ones(run_length_ * simd::kPackedBytes, 0);
  for (std::size_t j = 0; j < run_length_; ++j) ones[j * simd::kPackedBytes] = 1;

  std::vector<ckks::Ciphertext> out(channels);
  for (auto& c : out) {
    c.scale = step.scale;
    for (int l = 0; l < step.limbs; ++l) {
      c.c0.push_back(ring_.limb());
      c.c1.push_back(ring_.limb());
    }
  }
  parallel_for(static_cast<std::size_t>(step.limbs), [&](std::size_t limb) {
    const simd::AlignedArray<double> weights(runs_ * channels * stride);
    fill_weights(task, columns, limb, weights.data(), stride);
    std::vector<const unsigned char*> src0(columns.size()), src1(columns.size());
    for (std::size_t c = 0; c < count; ++c) {
      const ckks::PackedCiphertext& from = *sources[columns[c].tap][columns[c].channel];
      src0[c] = from.c0[limb].data();
      src1[c] = from.c1[limb].data();
    }
    const std::vector<const simd::ModulusView*> mod(std::max(columns.size(), channels), &ring_.modulus(limb));
    parallel_for(runs_, [&](std::size_t r) {
      std::vector<const unsigned char*> src(columns.size());
      const std::size_t at = r * run_length_ * simd::kPackedBytes;
      std::vector<u64*> dst(channels);
      simd::MatmulArgs args{nullptr, mod.data(), dst.data(), mod.data(),  weights.data() + r * channels * stride,
                            stride,  channels,   0,          run_length_, false};
      for (std::size_t c = 0; c < count; ++c) src[c] = src0[c] + at;
      src[count] = ones.data();
      for (std::size_t o = 0; o < channels; ++o) dst[o] = out[o].c0[limb].data() + r * run_length_;
      args.packed = src.data();
      args.cols = count + 1;
      ring_.kernels().matmul(args);
      for (std::size_t c = 0; c < count; ++c) src[c] = src1[c] + at;
      for (std::size_t o = 0; o < channels; ++o) dst[o] = out[o].c1[limb].data() + r * run_length_;
      args.cols = count;
      ring_.kernels().matmul(args);
    });
  });
  return out;
}

}  // namespace sotto::runtime
