// Products and word kernels of every set against the scalar ones, and the integer multiply-add algorithms through an
// emulated vector type, so that they are tested on processors without those instructions too.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "simd/planes.h"
#include "simd/tables.h"

namespace sotto::simd {
namespace {

using u64 = std::uint64_t;

// Eight lanes in plain C++ with the semantics of the AVX-512 instructions.
struct Emulated {
  struct D {
    double v[8];
  };
  struct U {
    u64 v[8];
  };
  static constexpr std::size_t kLanes = 8;
  template <class F>
  static D map(F f) {
    D r;
    for (int i = 0; i < 8; ++i) r.v[i] = f(i);
    return r;
  }
  template <class F>
  static U map_words(F f) {
    U r;
    for (int i = 0; i < 8; ++i) r.v[i] = f(i);
    return r;
  }
  static D set1(double x) {
    return map([&](int) { return x; });
  }
  static D add(D a, D b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  static D fma(D a, D b, D c) {
    return map([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
  }
  static D mul(D a, D b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  static D add_if_negative(D x, D q) {
    return map([&](int i) { return x.v[i] < 0 ? x.v[i] + q.v[i] : x.v[i]; });
  }
  static D round(D x) {
    return map([&](int i) { return std::nearbyint(x.v[i]); });
  }
  static D centre(D x, D q, D half) {
    return map([&](int i) { return x.v[i] > half.v[i] ? x.v[i] - q.v[i] : x.v[i]; });
  }
  static D from_words(const u64* p) {
    return map([&](int i) { return static_cast<double>(p[i]); });
  }
  static D load_unaligned(const double* p) {
    return map([&](int i) { return p[i]; });
  }
  static void store_unaligned(double* p, D x) { store_first(p, x, 8); }
  static D load_first(const double* p, std::size_t count) {
    return map([&](int i) { return static_cast<std::size_t>(i) < count ? p[i] : 0; });
  }
  static void store_first(double* p, D x, std::size_t count) { std::copy_n(x.v, count, p); }
  static U to_word_bits(D x) {
    return map_words([&](int i) { return static_cast<u64>(x.v[i]); });
  }
  static void to_words(u64* p, D x) {
    for (int i = 0; i < 8; ++i) p[i] = static_cast<u64>(x.v[i]);
  }
  static void prefetch2(const void*) {}
  static void prefetch_far(const void*) {}
  static void transpose_words(U* r) {
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < i; ++j) std::swap(r[i].v[j], r[j].v[i]);
  }
  static U load_words_unaligned(const u64* p) { return load_words(p); }
  static void store_words(u64* p, U x) { std::memcpy(p, x.v, sizeof x.v); }
  static void store_words_unaligned(u64* p, U x) { store_words(p, x); }
  static U reverse_words(U x) {
    return map_words([&](int i) { return x.v[7 - i]; });
  }
  static U sub_words(U a, U b) {
    return map_words([&](int i) { return a.v[i] - b.v[i]; });
  }
  static U min_words(U a, U b) {
    return map_words([&](int i) { return std::min(a.v[i], b.v[i]); });
  }
  static U sub_if_above(U a, U x, U limit, U b) {
    return map_words([&](int i) { return x.v[i] > limit.v[i] ? a.v[i] - b.v[i] : a.v[i]; });
  }
  static U load_packed(const unsigned char* p) {
    U u;
    scalar_kernels().unpack(u.v, p, kLanes);
    return u;
  }
  static void store_packed(unsigned char* p, U x) { scalar_kernels().pack(p, x.v, kLanes); }
  static U load_words(const u64* p) {
    return map_words([&](int i) { return p[i]; });
  }
  static U set1_word(u64 x) {
    return map_words([&](int) { return x; });
  }
  static U madd_low(U acc, U a, U b) {
    return map_words([&](int i) { return acc.v[i] + static_cast<u64>(product(a.v[i], b.v[i]) & kMask); });
  }
  static U madd_high(U acc, U a, U b) {
    return map_words([&](int i) { return acc.v[i] + static_cast<u64>(product(a.v[i], b.v[i]) >> 52); });
  }
  static U and_words(U a, U b) {
    return map_words([&](int i) { return a.v[i] & b.v[i]; });
  }
  static U add_words(U a, U b) {
    return map_words([&](int i) { return a.v[i] + b.v[i]; });
  }
  static U shift_right_52(U a) {
    return map_words([&](int i) { return a.v[i] >> 52; });
  }

 private:
  static constexpr u64 kMask = (u64{1} << 52) - 1;
  __extension__ using u128 = unsigned __int128;
  static u128 product(u64 a, u64 b) { return static_cast<u128>(a & kMask) * (b & kMask); }
};

namespace emulated {
// Each builds on those before it.
// clang-format off
#include "simd/words.inl.h"
#include "simd/reals.inl.h"
#include "simd/ifma_core.inl.h"
#include "simd/ifma_butterfly.inl.h"
#include "simd/ifma_fold.inl.h"
#include "simd/ifma_ntt.inl.h"
#include "simd/ifma_pointwise.inl.h"
#include "simd/matmul.inl.h"
#include "simd/ifma_matmul.inl.h"
// clang-format on
inline void automorphism(u64* dst, const u64* src, AutomorphismTable table, std::size_t n) {
  scalar_kernels().automorphism(dst, src, table, n);
}
}  // namespace emulated

const Kernels kEmulated{"emulated-ifma",
                        TwiddleLayout::ifma8,
                        emulated::ifma_ntt<Emulated>,
                        emulated::ifma_intt<Emulated>,
                        emulated::ifma_add<Emulated>,
                        emulated::ifma_sub<Emulated>,
                        emulated::ifma_mul<Emulated>,
                        emulated::ifma_mul_scalar_add<Emulated>,
                        emulated::ifma_sub_mul_scalar<Emulated>,
                        emulated::ifma_square<Emulated>,
                        emulated::ifma_inner_product<Emulated>,
                        emulated::ifma_switch_end<Emulated>,
                        emulated::ifma_matmul<Emulated>,
                        emulated::automorphism,
                        emulated::residues<Emulated>,
                        emulated::pack_words<Emulated>,
                        emulated::unpack_words<Emulated>,
                        emulated::add_scaled<Emulated>};

std::vector<const Kernels*> vector_sets() {
  std::vector<const Kernels*> sets{&kEmulated};
  for (const Kernels* k : {avx2_kernels(), avx512_kernels(), amx_kernels()})
    if (k != nullptr) sets.push_back(k);
  return sets;
}

constexpr u64 kSmallPrime = 0xffff00001;  // of 36 bits
constexpr u64 kPrimes[] = {281474975662081ull, 281474962554881ull};

TEST(Kernels, SelfTestPassesForEverySet) {
  for (const Kernels* k : vector_sets()) EXPECT_TRUE(self_test(*k)) << k->name;
}

// Every length and alignment, bit for bit, nothing written beyond the end.
TEST(Kernels, RealSums) {
  std::mt19937_64 rng(9);
  std::normal_distribution<double> normal;
  std::vector<double> x(300), start(300);
  for (double& v : x) v = normal(rng) * std::exp2(static_cast<int>(rng() % 80) - 40);
  for (double& v : start) v = normal(rng);
  for (const Kernels* k : vector_sets())
    for (std::size_t n = 0; n < 200; n += n < 40 ? 1 : 13)
      for (std::size_t shift = 0; shift < 9; ++shift)
        for (std::size_t terms : {0, 1, 3, 9}) {
          std::vector<const double*> planes;
          std::vector<double> factors;
          for (std::size_t t = 0; t < terms; ++t) {
            planes.push_back(x.data() + (5 * t + shift) % 60);
            factors.push_back(t == 2 ? 0 : normal(rng));
          }
          std::vector<double> y = start, expected = start;
          k->add_scaled(y.data() + shift, planes.data(), factors.data(), terms, n);
          scalar_kernels().add_scaled(expected.data() + shift, planes.data(), factors.data(), terms, n);
          ASSERT_EQ(y, expected) << k->name << " " << n << " " << shift;
        }
}

// A convolution as sums of shifted planes against its definition; taps may reach beyond all borders.
TEST(Planes, SumsOfShiftedPlanes) {
  std::mt19937_64 rng(3);
  std::normal_distribution<double> normal;
  for (const auto& [h, w, rows, columns, dy, dx] : {std::array{5, 7, 5, 7, -1, -1},
                                                    {5, 7, 3, 5, 0, 0},
                                                    {5, 7, 9, 8, -3, -2},
                                                    {1, 1, 1, 1, 0, 0},
                                                    {4, 4, 2, 3, 1, 1}}) {
    std::vector<double> values(static_cast<std::size_t>(2 * h * w)), out(static_cast<std::size_t>(rows * columns), 0.5);
    for (double& v : values) v = normal(rng);
    std::vector<double> expected = out, weights, scratch;
    const Planes planes(values, h, w, rows, columns, {dy, dy + 2, dx, dx + 2});
    std::vector<const double*> sources;
    for (int p = 0; p < 2; ++p)
      for (int ky = dy; ky <= dy + 2; ++ky)
        for (int kx = dx; kx <= dx + 2; ++kx) {
          weights.push_back(normal(rng));
          sources.push_back(planes.at(p, ky, kx));
          for (int y = 0; y < rows; ++y)
            for (int x = 0; x < columns; ++x)
              if (y + ky >= 0 && y + ky < h && x + kx >= 0 && x + kx < w)
                expected[static_cast<std::size_t>(y * columns + x)] +=
                    weights.back() * values[static_cast<std::size_t>((p * h + y + ky) * w + x + kx)];
        }
    planes.add(out.data(), sources, weights, scratch);
    EXPECT_EQ(out, expected);
  }
}

TEST(Kernels, SelfTestRefusesABrokenSet) {
  Kernels broken = scalar_kernels();
  broken.mul = broken.add;
  EXPECT_FALSE(self_test(broken));
  broken = scalar_kernels();
  broken.automorphism = [](u64* dst, const u64* src, AutomorphismTable, std::size_t n) {
    std::memcpy(dst, src, n * 8);
  };
  EXPECT_FALSE(self_test(broken));
}

std::vector<unsigned char> packed_words(const AlignedArray<u64>& x) {
  std::vector<unsigned char> p(kPackedBytes * x.size());
  scalar_kernels().pack(p.data(), x.data(), x.size());
  return p;
}

u64 product_mod(u64 a, u64 b, u64 q) {
  __extension__ using u128 = unsigned __int128;
  return static_cast<u64>(static_cast<u128>(a) * b % q);
}

struct Shape {
  std::size_t rows, cols, length;
  bool exact;
};

class Matmul : public ::testing::TestWithParam<Shape> {};

TEST_P(Matmul, EverySetMatchesScalarOnRandomAndExtremeWords) {
  const auto [rows, cols, length, exact] = GetParam();
  // The last mode mixes sizes, as conversions between small primes and others do.
  const ModulusView small = make_modulus_view(kSmallPrime);
  for (int mode = 0; mode < 4; ++mode) {  // random; all at +q/2; signs of weights and sources opposed; random
    const ModulusView mod[] = {make_modulus_view(kPrimes[0]), mode == 3 ? small : make_modulus_view(kPrimes[1])};
    std::mt19937_64 rng(rows * 1000 + cols);
    std::vector<AlignedArray<u64>> src, out, expected;
    std::vector<const u64*> src_ptr;
    std::vector<u64*> out_ptr, expected_ptr;
    std::vector<const ModulusView*> src_mod, dst_mod;
    std::vector<double> weight(rows * (cols + 1));
    for (std::size_t c = 0; c < cols; ++c) {
      const ModulusView& m = mod[c % 2];
      src.emplace_back(length);
      for (std::size_t j = 0; j < length; ++j) src.back()[j] = mode % 3 == 0 ? rng() % m.q : m.q / 2 + (mode == 2);
      src_ptr.push_back(src.back().data());
      src_mod.push_back(&m);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const ModulusView& m = mod[r % 2];
      out.emplace_back(length);
      expected.emplace_back(length);
      out_ptr.push_back(out.back().data());
      expected_ptr.push_back(expected.back().data());
      dst_mod.push_back(&m);
      for (std::size_t c = 0; c <= cols; ++c) {
        const u64 w = mode % 3 == 0 ? rng() % m.q : m.q / 2;
        weight[r * (cols + 1) + c] = static_cast<double>(w) - (w > m.q / 2 ? m.qd : 0.0);
      }
    }
    MatmulArgs args{
        src_ptr.data(), src_mod.data(), expected_ptr.data(), dst_mod.data(), weight.data(), cols + 1, rows, cols,
        length,         exact};
    scalar_kernels().matmul(args);
    args.dst = out_ptr.data();
    std::vector<std::vector<unsigned char>> packed;
    std::vector<const unsigned char*> packed_ptr;
    for (const auto& words : src) packed_ptr.push_back(packed.emplace_back(packed_words(words)).data());
    for (const Kernels* k : vector_sets()) {
      for (bool pack : {false, true}) {
        if (pack && exact) continue;
        args.packed = pack ? packed_ptr.data() : nullptr;
        k->matmul(args);
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t j = 0; j < length; ++j)
            ASSERT_EQ(out[r][j], expected[r][j])
                << k->name << " mode " << mode << " packed " << pack << " row " << r << " word " << j;
      }
    }
    if (exact || rows > 20) continue;
    // Two sets: the sources, and the sources in reverse (all of one modulus, as in a convolution).
    const std::vector<const ModulusView*> same(std::max(rows, cols), &mod[0]);
    for (auto& words : src)
      for (std::size_t j = 0; j < length; ++j) words[j] %= mod[0].q;
    for (double& w : weight) w = std::fmod(w, mod[0].qd / 2);
    std::vector<const u64*> both = src_ptr;
    both.insert(both.end(), src_ptr.rbegin(), src_ptr.rend());
    std::vector<AlignedArray<u64>> results;
    std::vector<u64*> result_ptr;
    for (std::size_t r = 0; r < 2 * rows; ++r) result_ptr.push_back(results.emplace_back(length).data());
    MatmulArgs two{both.data(), same.data(), expected_ptr.data(), same.data(), weight.data(), cols + 1, rows,
                   cols,        length};
    for (std::size_t set = 0; set < 2; ++set) {
      two.src = both.data() + set * cols;
      two.dst = expected_ptr.data();
      two.sets = 1;
      scalar_kernels().matmul(two);
      two.src = both.data();
      two.dst = result_ptr.data();
      two.sets = 2;
      auto kernels = vector_sets();
      kernels.push_back(&scalar_kernels());
      for (const Kernels* k : kernels) {
        k->matmul(two);
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t j = 0; j < length; ++j)
            ASSERT_EQ(results[set * rows + r][j], expected[r][j]) << k->name << " set " << set << " row " << r;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Matmul,
                         ::testing::Values(Shape{1, 1, 16, false}, Shape{3, 5, 48, true}, Shape{20, 10, 256, true},
                                           Shape{16, 144, 64, false}, Shape{5, 600, 32, false},
                                           Shape{65, 24, 16, false}, Shape{7, 25, 1024, true}, Shape{2, 48, 16, true},
                                           Shape{4, 1728, 16, false}));

// What the sums begin with, for one modulus and for two, packed and not, few rows and many, one chunk of columns and
// two.
TEST(Kernels, MatrixProductsBeginWithZeroAConstantOrWhatIsThere) {
  const ModulusView mod[] = {make_modulus_view(kPrimes[0]), make_modulus_view(kPrimes[1])};
  constexpr std::size_t kSets = 2;
  std::vector<const Kernels*> kernels = vector_sets();
  kernels.push_back(&scalar_kernels());
  for (const auto& [rows, cols, length] : {std::tuple<std::size_t, std::size_t, std::size_t>{1, 9, 80},
                                           {1, 1, 16},
                                           {2, 9, 48},
                                           {3, 4, 64},
                                           {4, 36, 16},
                                           {5, 9, 32},
                                           {1, 600, 32},
                                           {6, 600, 16},
                                           {64, 64, 16},
                                           {65, 127, 48},
                                           {135, 1400, 16},
                                           {3, 0, 16}}) {
    for (const std::size_t moduli : {1u, 2u}) {
      std::mt19937_64 rng(rows * 1000 + cols);
      const auto extreme = [&](u64 q) {
        return rng() % 4 == 0 ? q / 2 + rng() % 2 : rng() % 4 == 0 ? q - 1 : rng() % q;
      };
      std::vector<AlignedArray<u64>> src, held;
      std::vector<std::vector<unsigned char>> packed;
      std::vector<const u64*> src_ptr;
      std::vector<const unsigned char*> packed_ptr;
      std::vector<const ModulusView*> src_mod, dst_mod;
      for (std::size_t k = 0; k < kSets * cols; ++k) {
        const ModulusView& m = mod[k % cols % moduli];
        if (k < cols) src_mod.push_back(&m);
        auto& words = src.emplace_back(length);
        for (std::size_t j = 0; j < length; ++j) words[j] = extreme(m.q);
        packed.push_back(packed_words(words));
      }
      for (const auto& words : src) src_ptr.push_back(words.data());
      for (const auto& bytes : packed) packed_ptr.push_back(bytes.data());
      std::vector<double> weight(rows * (cols + 1));
      for (std::size_t r = 0; r < rows; ++r) {
        const ModulusView& m = mod[r % moduli];
        dst_mod.push_back(&m);
        for (std::size_t c = 0; c <= cols; ++c) {
          const u64 w = extreme(m.q);
          weight[r * (cols + 1) + c] = static_cast<double>(w) - (w > m.q / 2 ? m.qd : 0.0);
        }
      }
      for (std::size_t k = 0; k < kSets * rows; ++k) {
        auto& words = held.emplace_back(length);
        for (std::size_t j = 0; j < length; ++j) words[j] = extreme(dst_mod[k % rows]->q);
      }
      for (const SumStart start : {SumStart::zero, SumStart::constant, SumStart::present}) {
        // By the definition.
        __extension__ using i128 = __int128;
        const auto expected = [&](std::size_t set, std::size_t r, std::size_t j) {
          const double* w = weight.data() + r * (cols + 1);
          const auto q = static_cast<i128>(dst_mod[r]->q);
          i128 sum = 0;
          if (start == SumStart::constant && set == 0) sum = static_cast<i128>(w[cols]);
          if (start == SumStart::present) sum = static_cast<i128>(held[set * rows + r][j]);
          for (std::size_t c = 0; c < cols; ++c) {
            const u64 x = src[set * cols + c][j], p = src_mod[c]->q;
            sum += (static_cast<i128>(x) - (x > p / 2 ? p : 0)) * static_cast<i128>(w[c]);
          }
          return static_cast<u64>((sum % q + q) % q);
        };
        for (const Kernels* k : kernels) {
          for (const bool pack : {false, true}) {
            std::vector<AlignedArray<u64>> out;
            std::vector<u64*> out_ptr;
            for (const auto& words : held) {
              out_ptr.push_back(out.emplace_back(length).data());
              std::memcpy(out_ptr.back(), words.data(), length * sizeof(u64));
            }
            MatmulArgs args{src_ptr.data(), src_mod.data(), out_ptr.data(), dst_mod.data(), weight.data(),
                            cols + 1,       rows,           cols,           length,         false};
            if (pack) args.packed = packed_ptr.data();
            args.sets = kSets;
            args.start = start;
            k->matmul(args);
            for (std::size_t set = 0; set < kSets; ++set)
              for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t j = 0; j < length; ++j)
                  ASSERT_EQ(out[set * rows + r][j], expected(set, r, j))
                      << k->name << " rows " << rows << " cols " << cols << " moduli " << moduli << " packed " << pack
                      << " start " << static_cast<int>(start) << " set " << set << " row " << r << " word " << j;
          }
        }
      }
    }
  }
}

TEST(Kernels, InnerProductsMatchScalarForEveryNumberOfTerms) {
  constexpr std::size_t n = 128;
  const ModulusView m = make_modulus_view(kPrimes[1]);
  std::mt19937_64 rng(1);
  std::vector<AlignedArray<u64>> data;
  std::vector<std::vector<unsigned char>> keys;
  std::vector<const u64*> ptr;
  std::vector<const unsigned char*> key_ptr;
  for (int i = 0; i < 24; ++i) {
    data.emplace_back(n);
    for (std::size_t j = 0; j < n; ++j) data.back()[j] = j % 3 == 0 ? m.q - 1 : rng() % m.q;
    ptr.push_back(data.back().data());
    keys.push_back(packed_words(data.back()));
    key_ptr.push_back(keys.back().data());
  }
  AlignedArray<u64> a0(n), a1(n);
  for (std::size_t terms = 1; terms <= 8; ++terms) {
    std::vector<const Kernels*> sets = vector_sets();
    sets.push_back(&scalar_kernels());
    for (const Kernels* k : sets) {
      k->inner_product(a0.data(), a1.data(), ptr.data(), key_ptr.data() + 8, key_ptr.data() + 16, terms, n, m);
      for (std::size_t j = 0; j < n; ++j) {
        u64 e0 = 0, e1 = 0;
        for (std::size_t t = 0; t < terms; ++t) {
          e0 = (e0 + product_mod(data[t][j], data[8 + t][j], m.q)) % m.q;
          e1 = (e1 + product_mod(data[t][j], data[16 + t][j], m.q)) % m.q;
        }
        ASSERT_EQ(a0[j], e0) << k->name << " terms " << terms;
        ASSERT_EQ(a1[j], e1) << k->name << " terms " << terms;
      }
    }
  }
}

TEST(Kernels, SwitchEndsMatchTheirDefinition) {
  constexpr std::size_t n = 128;
  const ModulusView m = make_modulus_view(kPrimes[1]);
  std::mt19937_64 rng(2);
  std::vector<AlignedArray<u64>> data;
  std::vector<std::vector<unsigned char>> keys;
  std::vector<const u64*> ptr;
  std::vector<const unsigned char*> key_ptr;
  for (int i = 0; i < 28; ++i) {
    data.emplace_back(n);
    for (std::size_t j = 0; j < n; ++j) data.back()[j] = j % 3 == 0 ? m.q - 1 : j % 3 == 1 ? 0 : rng() % m.q;
    ptr.push_back(data.back().data());
    key_ptr.push_back(keys.emplace_back(packed_words(data.back())).data());
  }
  std::vector<const Kernels*> sets = vector_sets();
  sets.push_back(&scalar_kernels());
  AlignedArray<u64> y0(n), y1(n);
  for (std::size_t terms = 1; terms <= 8; ++terms) {
    for (int mode = 0; mode < 3; ++mode) {  // nothing to add, to one, to both
      for (const Kernels* k : sets) {
        std::copy_n(ptr[24], n, y0.data());
        std::copy_n(ptr[25], n, y1.data());
        SwitchEnd e{.x = ptr.data(), .k0 = key_ptr.data() + 8, .k1 = key_ptr.data() + 16, .terms = terms};
        e.y[0] = y0.data();
        e.y[1] = y1.data();
        e.inverse = m.q - 2;
        e.factor = m.q / 2 + 1;
        for (int p = 0; p < mode; ++p) e.d[p] = ptr[26 + p];
        k->switch_end(e, n, m);
        for (std::size_t j = 0; j < n; ++j) {
          for (std::size_t p = 0; p < 2; ++p) {
            u64 sum = m.q - ptr[24 + p][j];
            for (std::size_t t = 0; t < terms; ++t)
              sum = (sum + product_mod(ptr[t][j], ptr[8 + 8 * p + t][j], m.q)) % m.q;
            u64 expected = product_mod(sum % m.q, e.inverse, m.q);
            if (e.d[p] != nullptr) expected = (expected + product_mod(e.d[p][j], e.factor, m.q)) % m.q;
            ASSERT_EQ(p == 0 ? y0[j] : y1[j], expected) << k->name << " terms " << terms << " mode " << mode;
          }
        }
      }
    }
  }
}

// A sum that is the modulus itself is zero: random words never get there.
TEST(Kernels, SwitchEndsReduceTheModulusToZero) {
  constexpr std::size_t n = 64;
  const ModulusView m = make_modulus_view(kPrimes[1]);
  AlignedArray<u64> one(n), most(n), y0(n), y1(n);
  for (std::size_t j = 0; j < n; ++j) one[j] = 1, most[j] = m.q - 1;
  const auto key = packed_words(one);
  const u64* const x[] = {one.data()};
  const unsigned char* const k[] = {key.data()};
  std::vector<const Kernels*> sets = vector_sets();
  sets.push_back(&scalar_kernels());
  for (const Kernels* set : sets) {
    for (std::size_t j = 0; j < n; ++j) y0[j] = y1[j] = 0;
    SwitchEnd e{.x = x, .k0 = k, .k1 = k, .terms = 1, .inverse = 1, .factor = 1};
    for (std::size_t p = 0; p < 2; ++p) {
      e.y[p] = p == 0 ? y0.data() : y1.data();
      e.d[p] = most.data();
    }
    set->switch_end(e, n, m);  // 1 + (q - 1)
    for (std::size_t j = 0; j < n; ++j) ASSERT_EQ(y0[j] | y1[j], 0u) << set->name;
  }
}

TEST(Kernels, ResiduesOfIntegersMatchScalar) {
  constexpr std::size_t n = 4096;
  for (const u64 q : {kPrimes[0], u64{1073479681}, u64{1179649}}) {  // 48, 30 and 21 bits
    const ModulusView m = make_modulus_view(q);
    std::mt19937_64 rng(q);
    std::vector<double> x(n + 1);
    for (std::size_t i = 0; i < n; ++i) {
      const auto multiple = static_cast<double>(static_cast<std::int64_t>(q) * static_cast<std::int64_t>(rng() % 31));
      const double near = multiple + static_cast<double>(rng() % 3) - 1;  // where quotients change
      const double half = multiple + static_cast<double>(q / 2 + rng() % 2);
      const double any = static_cast<double>(rng() >> 11);
      const double magnitude = i % 4 == 0   ? near
                               : i % 4 == 1 ? half
                               : i % 4 == 2 ? any
                                            : static_cast<double>(rng() % q);
      x[i + 1] = i % 8 < 4 ? magnitude : -magnitude;
    }
    x[1] = 0x1p53 - 1;
    x[2] = 1 - 0x1p53;
    x[3] = -0.0;
    AlignedArray<u64> expected(n), out(n);
    scalar_kernels().residues(expected.data(), x.data() + 1, n, m);  // not aligned
    for (std::size_t i = 0; i < n; ++i) {
      const auto back = static_cast<std::int64_t>(x[i + 1]) - static_cast<std::int64_t>(expected[i]);
      ASSERT_LT(expected[i], q);
      ASSERT_EQ(back % static_cast<std::int64_t>(q), 0);
    }
    for (const Kernels* k : vector_sets()) {
      k->residues(out.data(), x.data() + 1, n, m);
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_EQ(out[i], expected[i]) << k->name << " of " << x[i + 1] << " mod " << q;
    }
  }
}

TEST(Kernels, PackedWordsAreSixBytesEachAndComeBack) {
  for (std::size_t n : {16, 48, 1024}) {
    std::mt19937_64 rng(n);
    AlignedArray<u64> x(n), back(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = i % 4 == 0 ? (u64{1} << 48) - 1 : rng() >> 16;
    const auto expected = packed_words(x);
    for (std::size_t k = 0; k < 6; ++k) ASSERT_EQ(expected[6 + k], x[1] >> (8 * k) & 0xff);
    for (const Kernels* k : vector_sets()) {
      std::vector<unsigned char> bytes(kPackedBytes * n + 1, 0xaa);  // at an odd address, with a guard
      k->pack(bytes.data(), x.data(), n);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin())) << k->name;
      EXPECT_EQ(bytes.back(), 0xaa) << k->name;
      std::copy(expected.begin(), expected.end(), bytes.begin() + 1);
      k->unpack(back.data(), bytes.data() + 1, n);
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(back[i], x[i]) << k->name;
    }
  }
}

// The largest digits of all, in as many columns as sums hold: weights whose six digits are all 127 or -128, times words
// of bytes 255.
TEST(Kernels, MatrixProductsOfTheLargestDigits) {
  const ModulusView m = make_modulus_view(kPrimes[0]);
  constexpr std::size_t rows = 64, length = 16;
  for (const std::size_t cols : {64u, 8192u, 8193u})
    for (const double w : {0x1.fdfdfdfdfdfcp+46, -(m.qd - 1) / 2, (m.qd - 1) / 2}) {
      AlignedArray<u64> words(length);
      for (std::size_t j = 0; j < length; ++j) words[j] = j % 2 == 0 ? m.q - 1 : 0xffffffffff;
      const auto bytes = packed_words(words);
      const std::vector<const unsigned char*> src(cols, bytes.data());
      const std::vector<const ModulusView*> moduli(cols, &m);
      const std::vector<double> weights(rows * cols, w);
      std::vector<AlignedArray<u64>> out;
      std::vector<u64*> dst;
      for (std::size_t r = 0; r < rows; ++r) dst.push_back(out.emplace_back(length).data());
      MatmulArgs args{nullptr, moduli.data(), dst.data(), moduli.data(), weights.data(), cols, rows, cols, length};
      args.packed = src.data();
      const u64 factor = static_cast<u64>(static_cast<std::int64_t>(w) + (w < 0 ? static_cast<std::int64_t>(m.q) : 0));
      for (const Kernels* k : vector_sets()) {
        k->matmul(args);
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t j = 0; j < length; ++j)
            ASSERT_EQ(out[r][j], product_mod(product_mod(words[j], factor, m.q), cols, m.q)) << k->name << " " << cols;
      }
    }
}

TEST(Kernels, TheEnvironmentForcesASet) {
  const char* forced = std::getenv("SOTTO_KERNELS");
  if (forced != nullptr) {
    EXPECT_STREQ(select_kernels().name, forced);
  } else {
    const Kernels* best = &scalar_kernels();
    for (const Kernels* k : {avx2_kernels(), avx512_kernels(), amx_kernels()})
      if (k != nullptr) best = k;
    EXPECT_STREQ(select_kernels().name, best->name);
  }
}

}  // namespace
}  // namespace sotto::simd
