#include "runtime/mix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/parallel.h"
#include "program/mix_runs.h"
#include "simd/tables.h"

namespace sotto::runtime {

using program::kLeastPeriod;
using program::kLeastRun;
using ring::Limb;
using u64 = std::uint64_t;

namespace {

constexpr std::size_t kWordsTogether = 2048;  // of a source, while they are in cache

double centred(u64 v, u64 q) {
  return v > q / 2 ? static_cast<double>(v) - static_cast<double>(q) : static_cast<double>(v);
}

}  // namespace

struct Mix::Plaintexts {
  std::size_t period = 0;      // of all
  std::vector<Integers> list;  // one or `period` coefficients each
  std::vector<int> at;         // [output][source]: index into list; -1: nothing

  [[nodiscard]] std::size_t runs() const { return period; }
};

// A pattern times a factor as coefficients of the subring of a period, rounded; of a pattern of one number that alone.
Integers Mix::encoded(int pattern, std::size_t period, double factor) const {
  const program::Pattern& p = program_.patterns[static_cast<std::size_t>(pattern)];
  std::vector<double> numbers = p;
  if (p.size() > 1) {
    std::vector<double> slots(period);
    for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = p[s % p.size()];
    numbers = ckks::Encoder(std::countr_zero(period), ring_.kind()).embed_inverse(std::span<const double>(slots));
  }
  for (double& v : numbers) v = std::nearbyint(v * factor);
  return Integers(std::move(numbers));
}

// Patterns that are added to sums of this scale.
void Mix::add_constants(const program::Instruction& i, double scale, std::vector<ckks::Ciphertext>& out) const {
  for (std::size_t k = 0; k < i.constants.size(); ++k) {
    if (i.constants[k] < 0) continue;
    const std::size_t period =
        std::max(kLeastPeriod, program_.patterns[static_cast<std::size_t>(i.constants[k])].size());
    const Integers integers = encoded(i.constants[k], period, scale);
    parallel_for(static_cast<std::size_t>(i.limbs), [&](std::size_t limb) {
      const u64 q = ring_.prime(limb);
      simd::AlignedArray<u64> words(period);
      integers.residues(ring_.kernels(), ring_.modulus(limb), words.data());
      if (integers.size() == 1)
        std::fill_n(words.data(), period, words.data()[0]);
      else
        ring_.kernels().ntt(words.data(), ring_.subring_table(limb, period));
      u64* to = out[k].c0[limb].data();
      const std::size_t run = ring_.n() / period;
      for (std::size_t s = 0; s < ring_.n(); ++s) {
        const u64 sum = to[s] + words.data()[s / run];
        to[s] = sum >= q ? sum - q : sum;
      }
    });
  }
}

Mix::Plaintexts Mix::plaintexts(const program::Instruction& i, std::span<const ckks::PackedCiphertext* const> sources,
                                std::span<const double> coefficients, double scale) const {
  Plaintexts out;
  out.period = kLeastPeriod;
  for (const program::Factor& f : i.factors)
    if (f.pattern >= 0)
      out.period = std::max(out.period, program_.patterns[static_cast<std::size_t>(f.pattern)].size());
  // Many outputs and sources share their plaintexts.
  std::map<std::tuple<int, int, double>, int> known;
  for (std::size_t k = 0; k < i.factors.size(); ++k) {
    const program::Factor& f = i.factors[k];
    if (f.pattern < 0) {
      out.at.push_back(-1);
      continue;
    }
    const double ratio = scale / sources[k % sources.size()]->scale;
    const auto [at, inserted] = known.try_emplace({f.pattern, f.coefficient, ratio}, static_cast<int>(out.list.size()));
    out.at.push_back(at->second);
    if (!inserted) continue;
    const double factor = ratio * (f.coefficient < 0 ? 1 : coefficients[static_cast<std::size_t>(f.coefficient)]);
    out.list.push_back(encoded(f.pattern, out.period, factor));
  }
  return out;
}

std::vector<ckks::Ciphertext> Mix::run(const program::Instruction& i,
                                       std::span<const ckks::PackedCiphertext* const> sources,
                                       std::span<const double> coefficients, double scale) const {
  const Plaintexts plaintexts = this->plaintexts(i, sources, coefficients, scale);
  std::vector<ckks::Ciphertext> out(i.outputs.size());
  for (ckks::Ciphertext& c : out) {
    c.scale = scale;
    for (int l = 0; l < i.limbs; ++l) {
      c.c0.push_back(ring_.limb());
      c.c1.push_back(ring_.limb());
    }
  }
  const bool long_runs = ring_.n() / plaintexts.period >= kLeastRun;
  parallel_for(static_cast<std::size_t>(i.limbs), [&](std::size_t limb) {
    if (long_runs)
      by_runs(plaintexts, sources, limb, out);
    else
      written_out(plaintexts, sources, limb, out);
  });
  add_constants(i, scale, out);
  return out;
}

void Mix::by_runs(const Plaintexts& p, std::span<const ckks::PackedCiphertext* const> sources, std::size_t limb,
                  std::vector<ckks::Ciphertext>& out) const {
  const std::size_t runs = p.runs(), length = ring_.n() / runs, cols = sources.size(), rows = out.size();
  const u64 q = ring_.prime(limb);
  const simd::NttView& table = ring_.subring_table(limb, runs);
  std::vector<double> values(p.list.size() * runs);  // [plaintext][run]
  simd::AlignedArray<u64> words(runs);
  for (std::size_t k = 0; k < p.list.size(); ++k) {
    p.list[k].residues(ring_.kernels(), ring_.modulus(limb), words.data());
    if (p.list[k].size() == 1)
      std::fill_n(words.data(), runs, words.data()[0]);
    else
      ring_.kernels().ntt(words.data(), table);
    for (std::size_t r = 0; r < runs; ++r) values[k * runs + r] = centred(words.data()[r], q);
  }
  const std::vector<const simd::ModulusView*> mod(std::max(cols, rows), &ring_.modulus(limb));
  std::vector<const unsigned char*> src(2 * cols);
  std::vector<u64*> dst(2 * rows);
  std::vector<double> weights(rows * cols);
  for (std::size_t r = 0; r < runs; ++r) {
    for (std::size_t k = 0; k < weights.size(); ++k)
      weights[k] = p.at[k] < 0 ? 0 : values[static_cast<std::size_t>(p.at[k]) * runs + r];
    for (std::size_t c = 0; c < cols; ++c) {
      src[c] = sources[c]->c0[limb].data() + r * length * simd::kPackedBytes;
      src[cols + c] = sources[c]->c1[limb].data() + r * length * simd::kPackedBytes;
    }
    for (std::size_t o = 0; o < rows; ++o) {
      dst[o] = out[o].c0[limb].data() + r * length;
      dst[rows + o] = out[o].c1[limb].data() + r * length;
    }
    simd::MatmulArgs args{nullptr, mod.data(), dst.data(), mod.data(), weights.data(), cols, rows, cols, length, false};
    args.packed = src.data();
    args.sets = 2;
    ring_.kernels().matmul(args);
  }
}

void Mix::written_out(const Plaintexts& p, std::span<const ckks::PackedCiphertext* const> sources, std::size_t limb,
                      std::vector<ckks::Ciphertext>& out) const {
  const std::size_t runs = p.runs(), length = ring_.n() / runs, n = ring_.n();
  const auto& m = ring_.modulus(limb);
  const auto& kernels = ring_.kernels();
  simd::AlignedArray<u64> words(runs);
  std::vector<Limb> plain;
  for (const Integers& integers : p.list) {
    u64* to = plain.emplace_back(ring_.limb()).data();
    integers.residues(kernels, m, words.data());
    if (integers.size() == 1)
      std::fill_n(words.data(), runs, words.data()[0]);
    else
      kernels.ntt(words.data(), ring_.subring_table(limb, runs));
    for (std::size_t r = 0; r < runs; ++r) std::fill_n(to + r * length, length, words.data()[r]);
  }
  for (ckks::Ciphertext& c : out)
    for (ring::RnsPoly* poly : {&c.c0, &c.c1}) std::memset((*poly)[limb].data(), 0, n * sizeof(u64));
  const std::size_t block = std::min(n, kWordsTogether);
  simd::AlignedArray<u64> x(block), product(block);
  for (std::size_t at = 0; at < n; at += block) {
    for (std::size_t k = 0; k < sources.size(); ++k) {
      for (int half = 0; half < 2; ++half) {
        const ring::PackedPoly& from = half == 0 ? sources[k]->c0 : sources[k]->c1;
        kernels.unpack(x.data(), from[limb].data() + at * simd::kPackedBytes, block);
        for (std::size_t o = 0; o < out.size(); ++o) {
          const int index = p.at[o * sources.size() + k];
          if (index < 0) continue;
          u64* to = (half == 0 ? out[o].c0 : out[o].c1)[limb].data() + at;
          kernels.mul(product.data(), x.data(), plain[static_cast<std::size_t>(index)].data() + at, block, m);
          kernels.add(to, to, product.data(), block, m);
        }
      }
    }
  }
}

}  // namespace sotto::runtime
