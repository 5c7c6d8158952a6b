#include "simd/self_test.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "simd/kernels.h"
#include "simd/tables.h"

namespace sotto::simd {
namespace {

using u64 = std::uint64_t;

// SplitMix64: fixed test data, nothing secret.
struct TestData {
  u64 state;
  u64 next() {
    u64 z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  // Every fourth word is an extreme: 0, q - 1, q / 2 or q / 2 + 1.
  AlignedArray<u64> words(std::size_t n, u64 q) {
    AlignedArray<u64> a(n);
    for (std::size_t i = 0; i < n; ++i) {
      const u64 r = next();
      const u64 extreme[] = {0, q - 1, q / 2, q / 2 + 1};
      a[i] = r % 4 == 0 ? extreme[(r >> 2) % 4] : (r >> 4) % q;
    }
    return a;
  }
};

bool equal(const AlignedArray<u64>& a, const AlignedArray<u64>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(u64)) == 0;
}

// Two primes below 2^48 that are 1 modulo 2^18, with quadratic non-residues (hence elements of full 2-power order).
constexpr u64 kPrimes[2] = {281474975662081ull, 281474962554881ull};

u64 root_of_order(u64 order, u64 q) {
  for (u64 g = 2;; ++g)
    if (pow_mod(g, (q - 1) / 2, q) == q - 1) return pow_mod(g, (q - 1) / order, q);
}

bool products_match(const Kernels& k, const Kernels& reference) {
  constexpr std::size_t n = 64, cols = 29, rows = 7;
  const ModulusView m[2] = {make_modulus_view(kPrimes[0]), make_modulus_view(kPrimes[1])};
  TestData data{1};
  std::vector<AlignedArray<u64>> src, out, expected;
  const u64* src_ptr[cols];
  u64* out_ptr[rows];
  u64* expected_ptr[rows];
  const ModulusView *src_mod[cols], *dst_mod[rows];
  double weight[rows * (cols + 1)];
  for (std::size_t c = 0; c < cols; ++c) {
    src.push_back(data.words(n, m[c % 2].q));
    src_ptr[c] = src.back().data();
    src_mod[c] = &m[c % 2];
  }
  for (std::size_t r = 0; r < rows; ++r) {
    out.emplace_back(n);
    expected.emplace_back(n);
    out_ptr[r] = out.back().data();
    expected_ptr[r] = expected.back().data();
    dst_mod[r] = &m[r % 2];
    const auto w = data.words(cols + 1, m[r % 2].q);
    for (std::size_t c = 0; c <= cols; ++c)
      weight[r * (cols + 1) + c] = static_cast<double>(w[c]) - (w[c] > m[r % 2].q / 2 ? m[r % 2].qd : 0.0);
  }
  MatmulArgs args{src_ptr, src_mod, out_ptr, dst_mod, weight, cols + 1, rows, cols, n, true};
  k.matmul(args);
  args.dst = expected_ptr;
  reference.matmul(args);
  bool ok = true;
  for (std::size_t r = 0; r < rows; ++r) ok = ok && equal(out[r], expected[r]);

  // The same sources packed, as a convolution and as keys.
  std::vector<unsigned char> packed[cols];
  const unsigned char* packed_ptr[cols];
  for (std::size_t c = 0; c < cols; ++c) {
    packed[c].resize(kPackedBytes * n);
    reference.pack(packed[c].data(), src_ptr[c], n);
    packed_ptr[c] = packed[c].data();
  }
  std::vector<unsigned char> again(kPackedBytes * n);
  k.pack(again.data(), src_ptr[0], n);
  k.unpack(out_ptr[0], again.data(), n);
  ok = ok && again == packed[0] && equal(out[0], src[0]);
  args = {nullptr, src_mod, out_ptr, dst_mod, weight, cols + 1, rows, cols, n, false};
  args.packed = packed_ptr;
  k.matmul(args);
  args.dst = expected_ptr;
  reference.matmul(args);
  for (std::size_t r = 0; r < rows; ++r) ok = ok && equal(out[r], expected[r]);

  // Few rows of one modulus in two sets, with a constant and on top of what is there, as in a depthwise layer.
  for (const auto& [height, start] : {std::pair{std::size_t{1}, SumStart::constant}, {3, SumStart::present}}) {
    const ModulusView* same[9];
    for (auto& q : same) q = &m[0];
    args = {nullptr, same, out_ptr, same, weight, cols + 1, height, 9, n, false};
    const unsigned char* of_first[18];  // modulo the first prime
    for (std::size_t c = 0; c < 18; ++c) of_first[c] = packed_ptr[c % 14 * 2];
    args.packed = of_first;
    args.sets = 2;
    args.start = start;
    k.matmul(args);
    args.dst = expected_ptr;
    reference.matmul(args);
    for (std::size_t r = 0; r < rows; ++r) ok = ok && equal(out[r], expected[r]);
  }

  k.inner_product(out_ptr[0], out_ptr[1], src_ptr, packed_ptr + 8, packed_ptr + 16, 3, n, m[1]);
  reference.inner_product(expected_ptr[0], expected_ptr[1], src_ptr, packed_ptr + 8, packed_ptr + 16, 3, n, m[1]);
  ok = ok && equal(out[0], expected[0]) && equal(out[1], expected[1]);

  // Both results of the inner product go on as remainders.
  SwitchEnd end{.x = src_ptr, .k0 = packed_ptr + 8, .k1 = packed_ptr + 16, .terms = 2};
  end.inverse = m[1].q - 3;
  end.factor = m[1].q / 2;
  end.d[0] = src_ptr[3];
  for (std::size_t p = 0; p < 2; ++p) end.y[p] = out_ptr[p];
  k.switch_end(end, n, m[1]);
  for (std::size_t p = 0; p < 2; ++p) end.y[p] = expected_ptr[p];
  reference.switch_end(end, n, m[1]);
  return ok && equal(out[0], expected[0]) && equal(out[1], expected[1]);
}

// Many rows and columns of one modulus, as in a convolution of many channels.
bool large_products_match(const Kernels& k, const Kernels& reference) {
  constexpr std::size_t n = 16, cols = 70, rows = 65;
  const ModulusView m = make_modulus_view(kPrimes[0]);
  const std::vector<const ModulusView*> moduli(cols, &m);
  TestData data{3};
  std::vector<std::vector<unsigned char>> packed;
  std::vector<const unsigned char*> src;
  for (std::size_t c = 0; c < cols; ++c) {
    packed.emplace_back(kPackedBytes * n);
    reference.pack(packed.back().data(), data.words(n, m.q).data(), n);
    src.push_back(packed.back().data());
  }
  std::vector<double> weight;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto w = data.words(cols + 1, m.q);
    for (std::size_t c = 0; c <= cols; ++c) weight.push_back(static_cast<double>(w[c]) - (w[c] > m.q / 2 ? m.qd : 0.0));
  }
  std::vector<AlignedArray<u64>> out, expected;
  std::vector<u64*> out_ptr, expected_ptr;
  for (std::size_t r = 0; r < rows; ++r) {
    out_ptr.push_back(out.emplace_back(n).data());
    expected_ptr.push_back(expected.emplace_back(n).data());
  }
  MatmulArgs args{nullptr, moduli.data(), out_ptr.data(), moduli.data(), weight.data(), cols + 1, rows, cols, n};
  args.packed = src.data();
  args.start = SumStart::constant;
  k.matmul(args);
  args.dst = expected_ptr.data();
  reference.matmul(args);
  return std::ranges::equal(out, expected, equal);
}

bool words_match(const Kernels& k, const Kernels& reference) {
  constexpr std::size_t n = 64;
  const ModulusView m = make_modulus_view(kPrimes[1]);
  TestData data{2};
  const auto a = data.words(n, m.q), b = data.words(n, m.q);
  AlignedArray<u64> x(n), y(n), z(n), rx(n), ry(n), rz(n);
  bool ok = true;
  auto compare = [&](auto&& run) {
    run(k, x.data(), y.data(), z.data());
    run(reference, rx.data(), ry.data(), rz.data());
    ok = ok && equal(x, rx);
  };
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.add(d, a.data(), b.data(), n, m); });
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.sub(d, a.data(), b.data(), n, m); });
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.mul(d, a.data(), b.data(), n, m); });
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.mul_scalar_add(d, a.data(), m.q - 3, b.data(), n, m); });
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.sub_mul_scalar(d, a.data(), b.data(), m.q / 2, n, m); });
  compare([&](const Kernels& s, u64* d, u64* e, u64* f) { s.square(d, e, f, a.data(), b.data(), n, m); });
  ok = ok && equal(y, ry) && equal(z, rz);
  double integers[n];
  for (std::size_t i = 0; i < n; ++i) integers[i] = static_cast<double>(static_cast<std::int64_t>(data.next()) >> 11);
  integers[0] = -m.qd;
  integers[1] = 1 - 0x1p53;
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.residues(d, integers, n, m); });
  double sums[2][n] = {};
  for (std::size_t i = 0; i < n; ++i) sums[0][i] = sums[1][i] = 1 / (1.0 + static_cast<double>(i));
  const double* const planes[] = {integers, integers + 1, integers + 3};
  const double factors[] = {0.3, -0x1p-40, 1e-3};
  k.add_scaled(sums[0], planes, factors, 3, n - 3);
  reference.add_scaled(sums[1], planes, factors, 3, n - 3);
  ok = ok && std::equal(sums[0], sums[0] + n, sums[1]);
  const auto table = make_automorphism_table(5, n, true);
  compare([&](const Kernels& s, u64* d, u64*, u64*) { s.automorphism(d, a.data(), table.data(), n); });
  return ok;
}

}  // namespace

bool transforms_match(const Kernels& k, std::size_t n, std::uint64_t q, std::uint64_t root, bool ci) {
  const Kernels& reference = scalar_kernels();
  if (&k == &reference) return true;
  const NttTables t(n, q, root, ci, k.layout), tr(n, q, root, ci, reference.layout);
  TestData data{n};
  const auto input = data.words(n, q);
  AlignedArray<u64> a(n), b(n);
  std::memcpy(a.data(), input.data(), n * sizeof(u64));
  std::memcpy(b.data(), input.data(), n * sizeof(u64));
  k.ntt(a.data(), t.view());
  reference.ntt(b.data(), tr.view());
  const bool ok = equal(a, b);
  k.intt(a.data(), a.data(), t.view(), q - 2);
  reference.intt(b.data(), b.data(), tr.view(), q - 2);
  return ok && equal(a, b);
}

bool self_test(const Kernels& k) {
  const Kernels& reference = scalar_kernels();
  if (&k == &reference) return true;
  const auto transforms = [&](std::size_t n, bool ci) {
    return transforms_match(k, n, kPrimes[0], root_of_order(ci ? 4 * n : 2 * n, kPrimes[0]), ci);
  };
  return transforms(1024, false) && transforms(1024, true) && transforms(128, false) && products_match(k, reference) &&
         large_products_match(k, reference) && words_match(k, reference);
}

}  // namespace sotto::simd
