#include "runtime/product_sum.h"

#include <array>
#include <cstring>

#include "base/parallel.h"
#include "ring/primes.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

namespace {

constexpr std::size_t kTerms = 8;             // of an inner product
constexpr std::size_t kWordsTogether = 2048;  // the unpacked words of kTerms ciphertexts fit into a core's cache

}  // namespace

ProductSum sum_products(const ring::Ring& ring,
                        std::span<const std::pair<const ckks::PackedCiphertext*, const ckks::PackedCiphertext*>> pairs,
                        std::span<const IntegerMultiple> multiples, int limbs) {
  const std::size_t n = ring.n(), block = std::min(n, kWordsTogether);
  const auto& kernels = ring.kernels();
  ProductSum sum;
  for (int l = 0; l < limbs; ++l) {
    sum.d0.push_back(ring.limb());
    sum.d1.push_back(ring.limb());
    if (!pairs.empty()) sum.d2.push_back(ring.limb());
  }
  const std::size_t blocks = n / block;
  parallel_for(static_cast<std::size_t>(limbs) * blocks, [&](std::size_t piece) {
    const std::size_t limb = piece / blocks, at = piece % blocks * block;
    const auto& m = ring.modulus(limb);
    const auto packed = [&](const ring::PackedPoly& p) { return p[limb].data() + at * simd::kPackedBytes; };
    u64 *d0 = sum.d0[limb].data() + at, *d1 = sum.d1[limb].data() + at,
        *d2 = pairs.empty() ? nullptr : sum.d2[limb].data() + at;
    for (u64* d : {d0, d1, d2})
      if (d != nullptr) std::memset(d, 0, block * sizeof(u64));
    simd::AlignedArray<u64> words(2 * kTerms * block), part(2 * block);
    std::array<const u64*, kTerms> a0, a1;
    std::array<const unsigned char*, kTerms> b0, b1;
    for (std::size_t first = 0; first < pairs.size(); first += kTerms) {
      const std::size_t count = std::min(kTerms, pairs.size() - first);
      for (std::size_t t = 0; t < count; ++t) {
        const auto& [a, b] = pairs[first + t];
        u64* to = words.data() + 2 * t * block;
        kernels.unpack(to, packed(a->c0), block);
        kernels.unpack(to + block, packed(a->c1), block);
        a0[t] = to;
        a1[t] = to + block;
        b0[t] = packed(b->c0);
        b1[t] = packed(b->c1);
      }
      u64 *x = part.data(), *y = part.data() + block;
      kernels.inner_product(x, y, a0.data(), b0.data(), b1.data(), count, block, m);
      kernels.add(d0, d0, x, block, m);
      kernels.add(d1, d1, y, block, m);
      kernels.inner_product(x, y, a1.data(), b0.data(), b1.data(), count, block, m);
      kernels.add(d1, d1, x, block, m);
      kernels.add(d2, d2, y, block, m);
    }
    for (const IntegerMultiple& k : multiples) {
      const u64 factor = ring::residue_of(k.integer, m.q);
      kernels.unpack(words.data(), packed(k.ciphertext->c0), block);
      kernels.mul_scalar_add(d0, words.data(), factor, d0, block, m);
      kernels.unpack(words.data(), packed(k.ciphertext->c1), block);
      kernels.mul_scalar_add(d1, words.data(), factor, d1, block, m);
    }
  });
  return sum;
}

}  // namespace sotto::runtime
