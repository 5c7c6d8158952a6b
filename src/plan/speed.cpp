#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "ckks/encoder.h"
#include "ckks/parameters.h"
#include "plan/work.h"
#include "ring/primes.h"

namespace sotto::plan {

namespace {

using u64 = std::uint64_t;

// The shortest of several runs, in seconds: at least three, and as many as a twentieth of a second allows, since other
// work on the machine only ever makes them longer.
template <class F>
double shortest(F&& f) {
  double best = 1e30;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 3 || std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(50); ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// Takes memory from the system as the pools do, writes to every page of it and gives it back.
void first_touch(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return;
  madvise(p, bytes, MADV_HUGEPAGE);
  for (std::size_t i = 0; i < bytes; i += 4096) static_cast<volatile char*>(p)[i] = 1;
  munmap(p, bytes);
}

}  // namespace

Speed measure_speed(int log_n, ring::RingKind kind, int threads) {
  const ckks::ParametersSpec spec{log_n, kind, 12, 4, 48};
  const auto parameters = ckks::Parameters::create(spec);
  const auto ring = parameters.make_ring(simd::select_kernels());
  const auto& k = ring->kernels();
  const std::size_t n = ring->n();
  std::vector<ring::Limb> limbs;
  for (int i = 0; i < 48; ++i) {
    limbs.push_back(ring->limb());
    std::iota(limbs.back().data(), limbs.back().data() + n, static_cast<std::uint64_t>(i) << 30);
  }
  Speed speed;
  // All primes in turn, as in a key switch: tables and data change each time.
  const auto primes = static_cast<int>(ring->prime_count());
  speed.transform = shortest([&] {
                      for (int i = 0; i < primes; ++i) {
                        u64* x = limbs[i].data();
                        ring->ntt(x, static_cast<std::size_t>(i));
                        ring->intt(x, x, static_cast<std::size_t>(i));
                      }
                    }) /
                    (2 * primes);
  speed.pointwise = shortest([&] {
                      for (std::size_t i = 0; i + 2 < 48; i += 3)
                        k.mul(limbs[i].data(), limbs[i + 1].data(), limbs[i + 2].data(), n, ring->modulus(0));
                    }) /
                    (16.0 * static_cast<double>(n));

  // A layer's product: 32 columns to 16 rows over runs, all modulo one prime.
  constexpr std::size_t kCols = 32, kRows = 16, kRun = 1024;
  std::vector<double> weights(kRows * kCols);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i * 1234567891 % 100000000);
  const std::vector<const simd::ModulusView*> same(kCols, &ring->modulus(0));
  speed.layer_mac = shortest([&] {
                      for (std::size_t at = 0; at < n; at += kRun) {
                        std::vector<const std::uint64_t*> src;
                        std::vector<std::uint64_t*> dst;
                        for (std::size_t c = 0; c < kCols; ++c) src.push_back(limbs[c].data() + at);
                        for (std::size_t r = 0; r < kRows; ++r) dst.push_back(limbs[kCols + r].data() + at);
                        k.matmul({src.data(), same.data(), dst.data(), same.data(), weights.data(), kCols, kRows, kCols,
                                  kRun, false});
                      }
                    }) /
                    static_cast<double>(kCols * kRows * n);

  std::vector<std::size_t> from(10), to(6);
  std::iota(from.begin(), from.end(), 0);
  std::iota(to.begin(), to.end(), 10);
  const ring::BasisConversion conversion(*ring, from, to, false);
  std::vector<const std::uint64_t*> src;
  std::vector<std::uint64_t*> dst;
  for (std::size_t c = 0; c < from.size(); ++c) src.push_back(limbs[c].data());
  for (std::size_t r = 0; r < to.size(); ++r) dst.push_back(limbs[20 + r].data());
  const double both = shortest([&] { conversion.run(src, dst); });
  // Weights: integers modulo a prime, transformed in the subring of a tile, written to their places.
  constexpr std::size_t kPeriod = 256, kRows2 = 64;
  std::vector<double> integers(kPeriod), spread(kPeriod * kRows2);
  for (std::size_t i = 0; i < kPeriod; ++i) integers[i] = static_cast<double>(i * 7919 % 4096) - 2048;
  std::vector<u64> residues(kPeriod + 8);
  u64* aligned = residues.data() + (64 - reinterpret_cast<std::uintptr_t>(residues.data()) % 64) % 64 / 8;
  const simd::NttView& table = ring->subring_table(0, kPeriod);
  speed.weight = shortest([&] {
                   for (std::size_t r = 0; r < kRows2; ++r) {
                     k.residues(aligned, integers.data(), kPeriod, ring->modulus(0));
                     k.ntt(aligned, table);
                     for (std::size_t i = 0; i < kPeriod; ++i) spread[i * kRows2 + r] = static_cast<double>(aligned[i]);
                   }
                 }) /
                 static_cast<double>(kPeriod * kRows2);
  constexpr int kLogEmbedding = 12;
  const ckks::Encoder encoder(kLogEmbedding, ring::RingKind::conjugate_invariant);
  const std::vector<double> slots(std::size_t{1} << kLogEmbedding, 0.5);
  speed.embedding = shortest([&] { (void)encoder.embed_inverse(std::span<const double>(slots)); }) /
                    (static_cast<double>(slots.size()) * kLogEmbedding);
  speed.key_byte = kTypicalSpeed.key_byte;
  speed.disk = kTypicalSpeed.disk;
  constexpr std::size_t kFresh = std::size_t{32} << 20;
  // Memory that was in use a moment ago is cheaper than what a run of gigabytes gets.
  speed.fresh = std::max(shortest([&] { first_touch(kFresh); }) / kFresh, kTypicalSpeed.fresh);
  speed.threads = threads;
  speed.basis_mac = both * threads / static_cast<double>(from.size() * to.size() * n);
  return speed;
}

}  // namespace sotto::plan
