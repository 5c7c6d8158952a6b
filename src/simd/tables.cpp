#include "simd/tables.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace sotto::simd {
namespace {

__extension__ using u128 = unsigned __int128;
using u64 = std::uint64_t;

u64 mul_mod(u64 a, u64 b, u64 q) { return static_cast<u64>(static_cast<u128>(a) * b % q); }

u64 reverse_bits(u64 x, int bits) {
  u64 r = 0;
  for (int i = 0; i < bits; ++i) r |= ((x >> i) & 1) << (bits - 1 - i);
  return r;
}

// Place of node `index` of the level with m nodes in a table for vectors of `lanes` words; see TwiddleLayout.
std::size_t vector_place(std::size_t m, std::size_t index, std::size_t n, std::size_t lanes) {
  if (m < n / lanes) return m + index;
  const std::size_t sets = m / (n / lanes);
  const std::size_t group = index / sets, s = index % sets;
  return m + group / lanes * lanes * sets + s * lanes + group % lanes;
}

}  // namespace

u64 pow_mod(u64 a, u64 e, u64 q) {
  u64 r = 1;
  for (a %= q; e > 0; e >>= 1, a = mul_mod(a, a, q))
    if (e & 1) r = mul_mod(r, a, q);
  return r;
}

ModulusView make_modulus_view(u64 q) {
  check(q < (u64{1} << kMaxModulusBits), "modulus is too large for the kernels");
  constexpr u64 kTop = u64{1} << 52;
  return {q,
          static_cast<double>(q),
          1.0 / static_cast<double>(q),
          kTop / q,
          kTop % q,
          static_cast<u64>((static_cast<u128>(kTop % q) << 52) / q)};
}

NttTables::NttTables(std::size_t n, u64 q, u64 root, bool conjugate_invariant, TwiddleLayout layout) {
  check(std::has_single_bit(n) && n >= 64 && n <= (1u << 17), "transform length is out of range");
  const int bits = std::countr_zero(n);
  const int tree_bits = bits + (conjugate_invariant ? 1 : 0);
  view_.mod = make_modulus_view(q);
  view_.n = n;
  view_.conjugate_invariant = conjugate_invariant;
  view_.imag = pow_mod(root, u64{1} << (tree_bits - 1), q);  // root has order 2^(tree_bits + 1)
  check(mul_mod(view_.imag, view_.imag, q) == q - 1, "the root of unity has the wrong order");

  // Node j of the whole tree is root^brv(j); walk the exponents in order.
  std::vector<u64> node(n), inverse_node(n);
  const u64 root_inverse = pow_mod(root, q - 2, q);
  std::vector<u64> power(n), inverse_power(n);
  const u64 step = conjugate_invariant ? 2 : 1;  // left-half nodes have even exponents
  const u64 r = pow_mod(root, 1, q), ri = root_inverse;
  const u64 base = step == 2 ? mul_mod(r, r, q) : r, base_inverse = step == 2 ? mul_mod(ri, ri, q) : ri;
  power[0] = inverse_power[0] = 1;
  for (std::size_t i = 1; i < n; ++i) {
    power[i] = mul_mod(power[i - 1], base, q);
    inverse_power[i] = mul_mod(inverse_power[i - 1], base_inverse, q);
  }
  for (std::size_t m = 1; m < n; m *= 2) {
    for (std::size_t i = 0; i < m; ++i) {
      // Standard tree: exponent brv(m + i) over `bits`; left half of the double tree: brv(2m + i) over bits + 1,
      // whose value lies below 2n; it is even unless m + i has its top bit set, which i < m rules out.
      if (conjugate_invariant) {
        const u64 e = reverse_bits(2 * m + i, tree_bits);
        node[m + i] = e % 2 == 0 ? power[e / 2] : mul_mod(power[e / 2], r, q);
        inverse_node[m + i] = e % 2 == 0 ? inverse_power[e / 2] : mul_mod(inverse_power[e / 2], ri, q);
      } else {
        const u64 e = reverse_bits(m + i, tree_bits);
        node[m + i] = power[e];
        inverse_node[m + i] = inverse_power[e];
      }
    }
  }
  node[0] = inverse_node[0] = 1;

  if (layout == TwiddleLayout::shoup) {
    for (auto& a : words_) a = AlignedArray<u64>(n);
    for (std::size_t i = 0; i < n; ++i) {
      words_[0][i] = node[i];
      words_[1][i] = static_cast<u64>((static_cast<u128>(node[i]) << 64) / q);
      words_[2][i] = inverse_node[i];
      words_[3][i] = static_cast<u64>((static_cast<u128>(inverse_node[i]) << 64) / q);
    }
    view_.forward.value = words_[0].data();
    view_.forward.shoup = words_[1].data();
    view_.inverse.value = words_[2].data();
    view_.inverse.shoup = words_[3].data();
    return;
  }
  if (layout == TwiddleLayout::ifma8) {
    constexpr std::size_t kLanes = 8;
    const auto quotient = [q](u64 w) { return static_cast<u64>((static_cast<u128>(w) << 52) / q); };
    const std::vector<u64>* nodes[] = {&node, &inverse_node};
    TwiddleView* views[] = {&view_.forward, &view_.inverse};
    for (int direction = 0; direction < 2; ++direction) {
      const std::vector<u64>& w = *nodes[direction];
      auto& table = words_[direction] = AlignedArray<u64>(n / 8 * 5);
      for (std::size_t p = 0; p < n / kLanes; ++p) {
        table[2 * p] = w[p];
        table[2 * p + 1] = quotient(w[p]);
      }
      u64* last = table.data() + n / 4;
      for (std::size_t sets = 1; sets < kLanes; sets *= 2)
        for (std::size_t p = 0; p < n / kLanes; ++p) *last++ = quotient(w[sets * (n / kLanes + p)]);
      TwiddleView& view = *views[direction];
      view.value = table.data();
      const u64 inverse = pow_mod(w[4], q - 2, q);
      for (std::size_t s = 1; s < 4; ++s) {
        view.turn[s - 1] = mul_mod(w[4 + s], inverse, q);
        view.turn_shoup[s - 1] = quotient(view.turn[s - 1]);
      }
    }
    return;
  }
  constexpr std::size_t lanes = 4;
  auto centred = [q](u64 x) {
    return x > q / 2 ? static_cast<double>(x) - static_cast<double>(q) : static_cast<double>(x);
  };
  for (auto& a : doubles_) a = AlignedArray<double>(n);
  doubles_[0][0] = doubles_[1][0] = 1;
  for (std::size_t m = 1; m < n; m *= 2) {
    for (std::size_t i = 0; i < m; ++i) {
      const std::size_t place = vector_place(m, i, n, lanes);
      doubles_[0][place] = centred(node[m + i]);
      doubles_[1][place] = centred(inverse_node[m + i]);
    }
  }
  view_.forward.fp = doubles_[0].data();
  view_.inverse.fp = doubles_[1].data();
}

u64 exponent_of(std::size_t k, std::size_t n, bool conjugate_invariant) {
  const u64 r = reverse_bits(k, std::countr_zero(n));
  return conjugate_invariant ? 4 * r + 1 : 2 * r + 1;
}

std::vector<std::uint32_t> make_automorphism_table(u64 g, std::size_t n, bool conjugate_invariant) {
  const u64 order = conjugate_invariant ? 4 * n : 2 * n;
  check(g % 2 == 1 && (!conjugate_invariant || g % 4 == 1), "this ring has no such automorphism");
  const int bits = std::countr_zero(n);
  auto index_of = [&](u64 e) { return reverse_bits(conjugate_invariant ? (e - 1) / 4 : (e - 1) / 2, bits); };
  std::vector<std::uint32_t> table(n / 4);
  for (std::size_t t = 0; t < n / 4; ++t) {
    u64 source[4];
    for (std::size_t r = 0; r < 4; ++r)
      source[r] = index_of(exponent_of(4 * t + r, n, conjugate_invariant) * g % order);
    for (std::uint32_t code = 0; code < 8; ++code) {
      bool match = true;
      for (std::size_t r = 0; r < 4; ++r) match = match && source[r] == 4 * (source[0] / 4) + kGroupOrder[code][r];
      if (match) table[t] = static_cast<std::uint32_t>(source[0] / 4) << 3 | code;
    }
  }
  return table;
}

}  // namespace sotto::simd
