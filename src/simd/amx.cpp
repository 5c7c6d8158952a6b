// The AVX-512 kernels with matrix products of many columns on tiles (AMX-INT8). Nothing but the table leaves this file.
//
// A packed word is six bytes as it is, and a weight becomes six signed ones, so that a product of words is 36 products
// of bytes, of which a processor with tiles does 16,384 at a time. Sums of products whose places add up to s gather in
// a tile of their own, 11 in all, exactly: 10,965 columns would fit 32 bits. In the end the 11 sums of each word join
// modulo its prime.
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <type_traits>

#include "simd/kernels.h"

namespace sotto::simd {
namespace {

// clang-format off
#include "simd/avx512_vector.inl.h"
#include "simd/words.inl.h"
#include "simd/ifma_core.inl.h"
#include "simd/matmul.inl.h"
// clang-format on

using V = Avx512;

constexpr std::size_t kDigits = 6, kSums = 2 * kDigits - 1;
constexpr std::size_t kTile = 16;                           // rows of weights, and words
constexpr std::size_t kDepth = 64;                          // columns
constexpr std::size_t kTileBytes = kTile * kDepth;          // of weights' or words' digits
constexpr std::size_t kMostColumns = 8192;                  // between foldings
constexpr std::size_t kMostRows = 128;                      // of weights in digits, and their bytes, so that they stay
constexpr std::size_t kMostBytes = 1 << 20;                 // in the second-level cache
constexpr std::size_t kAhead = 4 * kTile * kPackedBytes;    // how far ahead of use sources are asked for
constexpr std::size_t kLeastRows = 64, kLeastColumns = 64;  // that are worth it
constexpr std::uint64_t kBias = 0x808080808080;  // turns bytes of a number into its digits from -128 to 127, plus 128
constexpr double kMostDigits = 0x7f7f7f7f7f7f;   // the largest number that has six such digits

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {kDepth, kDepth, kDepth, kDepth, kDepth, kDepth, kDepth, kDepth};
  std::uint8_t rows[16] = {kTile, kTile, kTile, kTile, kTile, kTile, kTile, kTile};
};

// Grows like AlignedWords: scratch of one thread.
class Bytes {
 public:
  unsigned char* grow(std::size_t size) {
    words_.grow((size + 7) / 8);
    return reinterpret_cast<unsigned char*>(words_.data());
  }

 private:
  AlignedWords words_{0};
};

// Digits of the weights of 16 rows from r on, in columns [c0, c0 + cols): [64 columns][digit][row][column], with zeros
// where there is no weight. The largest weights have no six digits, but what is q less has.
void weight_digits(const MatmulArgs& g, std::size_t r, std::size_t c0, std::size_t cols, unsigned char* out) {
  const auto bias = _mm512_set1_epi64(static_cast<long long>(kBias));
  const auto flip = _mm_set1_epi8(static_cast<char>(0x80));
  for (std::size_t row = 0; row < kTile; ++row) {
    const double* weight = r + row < g.rows ? g.weight + (r + row) * g.stride + c0 : nullptr;
    const V::D q = V::set1(g.dst_mod[0]->qd), most = V::set1(kMostDigits);
    for (std::size_t c = 0; c < cols; c += V::kLanes) {
      unsigned char* to = out + c / kDepth * kDigits * kTileBytes + row * kDepth + c % kDepth;
      const std::size_t count = cols - c < V::kLanes ? cols - c : V::kLanes;
      const V::D w = weight == nullptr ? V::set1(0) : V::centre(V::load_first(weight + c, count), q, most);
      const auto biased = _mm512_add_epi64(_mm512_cvtpd_epi64(w), bias);
      for (unsigned k = 0; k < kDigits; ++k) {
        const __m128i digit = _mm_xor_si128(_mm512_cvtepi64_epi8(_mm512_srli_epi64(biased, 8 * k)), flip);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + k * kTileBytes), digit);
      }
    }
    for (std::size_t c = (cols + V::kLanes - 1) / V::kLanes * V::kLanes; c % kDepth != 0; c += V::kLanes)
      for (std::size_t k = 0; k < kDigits; ++k)
        _mm_storel_epi64(
            reinterpret_cast<__m128i*>(out + (c / kDepth * kDigits + k) * kTileBytes + row * kDepth + c % kDepth),
            _mm_setzero_si128());
  }
}

// Bytes of 16 words that lie packed, by what they are gathered from: two vectors of which the second has 32 bytes.
struct Gathers {
  alignas(64) std::uint8_t low[64], high[64], first[64], second[64], fifth[64], sixth[64];

  Gathers() {
    for (int n = 0; n < 16; ++n) {
      for (int k = 0; k < 4; ++k) low[4 * n + k] = static_cast<std::uint8_t>(6 * n + k);
      for (int k = 0; k < 2; ++k) high[2 * n + k] = static_cast<std::uint8_t>(6 * n + 4 + k);
      // Of two columns a and b: a0 b0 a1 b1, and a2 b2 a3 b3.
      for (int k = 0; k < 4; ++k) {
        first[4 * n + k] = static_cast<std::uint8_t>(k % 2 * 64 + 4 * n + k / 2);
        second[4 * n + k] = static_cast<std::uint8_t>(k % 2 * 64 + 4 * n + 2 + k / 2);
        // Of four columns whose last two digits lie side by side.
        fifth[4 * n + k] = static_cast<std::uint8_t>(k * 32 + 2 * n);
        sixth[4 * n + k] = static_cast<std::uint8_t>(k * 32 + 2 * n + 1);
      }
    }
    for (int k = 32; k < 64; ++k) high[k] = 0;
  }
};

// Digits of 16 words of four columns, null ones being zero: out[digit][word][column], kTileBytes from digit to digit.
void word_digits(const Gathers& gathers, const unsigned char* const* column, unsigned char* out) {
  const auto load = [](const std::uint8_t* p) { return _mm512_load_si512(p); };
  const __m512i low = load(gathers.low), high = load(gathers.high);
  __m512i l[4];
  __m256i h[4];
  for (int c = 0; c < 4; ++c) {
    const __m512i a = column[c] == nullptr ? _mm512_setzero_si512() : _mm512_loadu_si512(column[c]);
    const __m512i b =
        column[c] == nullptr
            ? a
            : _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(column[c] + 64)));
    l[c] = _mm512_permutex2var_epi8(a, low, b);
    h[c] = _mm512_castsi512_si256(_mm512_permutex2var_epi8(a, high, b));
  }
  const auto store = [&](int digit, __m512i x) { _mm512_store_si512(out + digit * kTileBytes, x); };
  int digit = 0;
  for (const std::uint8_t* pairs : {gathers.first, gathers.second}) {
    const __m512i left = _mm512_permutex2var_epi8(l[0], load(pairs), l[1]),
                  right = _mm512_permutex2var_epi8(l[2], load(pairs), l[3]);
    store(digit++, _mm512_mask_blend_epi16(0xaaaaaaaa, left, _mm512_slli_epi32(right, 16)));
    store(digit++, _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(left, 16), right));
  }
  const __m512i left = _mm512_inserti64x4(_mm512_castsi256_si512(h[0]), h[1], 1),
                right = _mm512_inserti64x4(_mm512_castsi256_si512(h[2]), h[3], 1);
  store(4, _mm512_permutex2var_epi8(left, load(gathers.fifth), right));
  store(5, _mm512_permutex2var_epi8(left, load(gathers.sixth), right));
}

// Digits of 16 words, from `at` on, of columns [c0, c0 + cols): [64 columns][digit][four columns][word].
void tile_digits(const MatmulArgs& g, std::size_t c0, std::size_t cols, std::size_t at, unsigned char* out) {
  static const Gathers gathers;
  for (std::size_t c = 0; c < (cols + kDepth - 1) / kDepth * kDepth; c += 4) {
    const unsigned char* column[4];
    for (std::size_t k = 0; k < 4; ++k) {
      column[k] = c + k < cols ? g.packed[c0 + c + k] + kPackedBytes * at : nullptr;
      if (column[k] == nullptr) continue;
      V::prefetch_far(column[k] + kAhead);
      V::prefetch_far(column[k] + kAhead + kTile * kPackedBytes / 2);
    }
    word_digits(gathers, column, out + c / kDepth * kDigits * kTileBytes + c % kDepth * kTile);
  }
}

// One product of digits i of weights and j of words.
// NOLINTBEGIN(cppcoreguidelines-macro-usage): numbers of tiles are part of instructions
#define SOTTO_WEIGHTS(i) _tile_loadd(6, w + (i)*kTileBytes, kDepth)
#define SOTTO_PRODUCT(tile, j)                \
  _tile_loadd(7, x + (j)*kTileBytes, kDepth); \
  _tile_dpbsud(tile, 6, 7)
#define SOTTO_STORE(tile, s) _tile_stored(tile, sums + (s)*kTile * kTile, kTile * sizeof(std::int32_t))
// NOLINTEND(cppcoreguidelines-macro-usage)

// sums[s][row][word]: products of digits of 16 rows of weights and 16 words, whose places add up to s.
void tile_products(const unsigned char* weights, const unsigned char* words, std::size_t blocks, std::int32_t* sums) {
  const auto each_block = [&](auto&& products) {
    const unsigned char *w = weights, *x = words;
    for (std::size_t b = 0; b < blocks; ++b, w += kDigits * kTileBytes, x += kDigits * kTileBytes) products(w, x);
  };
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler does not know what tiles read
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  each_block([](const unsigned char* w, const unsigned char* x) {
    SOTTO_WEIGHTS(0);
    SOTTO_PRODUCT(0, 0);
    SOTTO_PRODUCT(1, 1);
    SOTTO_PRODUCT(2, 2);
    SOTTO_PRODUCT(3, 3);
    SOTTO_PRODUCT(4, 4);
    SOTTO_PRODUCT(5, 5);
    SOTTO_WEIGHTS(1);
    SOTTO_PRODUCT(1, 0);
    SOTTO_PRODUCT(2, 1);
    SOTTO_PRODUCT(3, 2);
    SOTTO_PRODUCT(4, 3);
    SOTTO_PRODUCT(5, 4);
    SOTTO_WEIGHTS(2);
    SOTTO_PRODUCT(2, 0);
    SOTTO_PRODUCT(3, 1);
    SOTTO_PRODUCT(4, 2);
    SOTTO_PRODUCT(5, 3);
    SOTTO_WEIGHTS(3);
    SOTTO_PRODUCT(3, 0);
    SOTTO_PRODUCT(4, 1);
    SOTTO_PRODUCT(5, 2);
    SOTTO_WEIGHTS(4);
    SOTTO_PRODUCT(4, 0);
    SOTTO_PRODUCT(5, 1);
    SOTTO_WEIGHTS(5);
    SOTTO_PRODUCT(5, 0);
  });
  SOTTO_STORE(0, 0);
  SOTTO_STORE(1, 1);
  SOTTO_STORE(2, 2);
  SOTTO_STORE(3, 3);
  SOTTO_STORE(4, 4);
  SOTTO_STORE(5, 5);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  each_block([](const unsigned char* w, const unsigned char* x) {
    SOTTO_WEIGHTS(1);
    SOTTO_PRODUCT(0, 5);
    SOTTO_WEIGHTS(2);
    SOTTO_PRODUCT(0, 4);
    SOTTO_PRODUCT(1, 5);
    SOTTO_WEIGHTS(3);
    SOTTO_PRODUCT(0, 3);
    SOTTO_PRODUCT(1, 4);
    SOTTO_PRODUCT(2, 5);
    SOTTO_WEIGHTS(4);
    SOTTO_PRODUCT(0, 2);
    SOTTO_PRODUCT(1, 3);
    SOTTO_PRODUCT(2, 4);
    SOTTO_PRODUCT(3, 5);
    SOTTO_WEIGHTS(5);
    SOTTO_PRODUCT(0, 1);
    SOTTO_PRODUCT(1, 2);
    SOTTO_PRODUCT(2, 3);
    SOTTO_PRODUCT(3, 4);
    SOTTO_PRODUCT(4, 5);
  });
  SOTTO_STORE(0, 6);
  SOTTO_STORE(1, 7);
  SOTTO_STORE(2, 8);
  SOTTO_STORE(3, 9);
  SOTTO_STORE(4, 10);
}
#undef SOTTO_WEIGHTS
#undef SOTTO_PRODUCT
#undef SOTTO_STORE

// Joins sums modulo q. Three neighbours make a number below 2^48 in magnitude, which an offset makes positive.
class Join {
 public:
  explicit Join(const ModulusView& m) : modulus_(m), q_(m.q) {
    std::uint64_t power = 1;
    for (V::U& p : power_) {
      p = V::set1_word(power);
      power = mul_mod_word(power, std::uint64_t{1} << 24, q_);
    }
  }

  // What takes the offsets back: to be added to the sums.
  [[nodiscard]] std::uint64_t correction() const {
    std::uint64_t sum = 0, power = kOffset % q_;
    for (std::size_t k = 0; k < kGroups; ++k) {
      sum = (sum + power) % q_;
      power = mul_mod_word(power, std::uint64_t{1} << 24, q_);
    }
    return q_ - sum;
  }

  // Eight words from sums that lie kTile * kTile apart from place to place, and what they begin with.
  [[nodiscard]] V::U operator()(const std::int32_t* sums, V::U begin) const {
    V::U low = begin, high = V::set1_word(0);
    for (std::size_t k = 0; k < kGroups; ++k) {
      V::U group = V::set1_word(kOffset);
      for (std::size_t s = 3 * k; s < 3 * k + 3 && s < kSums; ++s) {
        const V::U sum =
            _mm512_cvtepi32_epi64(_mm256_load_si256(reinterpret_cast<const __m256i*>(sums + s * kTile * kTile)));
        group = V::add_words(group, _mm512_slli_epi64(sum, static_cast<unsigned>(8 * (s - 3 * k))));
      }
      low = V::madd_low(low, group, power_[k]);
      high = V::madd_high(high, group, power_[k]);
    }
    return ifma_fold<V>(low, high, modulus_);
  }

 private:
  static constexpr std::size_t kGroups = 4;
  static constexpr std::uint64_t kOffset = std::uint64_t{1} << 48;

  IfmaModulus<V> modulus_;
  std::uint64_t q_;
  V::U power_[kGroups];  // 2^(24 k) modulo q
};

// The products of columns [c0, c0 + cols) of one set. weights: digits of all rows; begin: by row.
void products(const MatmulArgs& g, std::size_t c0, std::size_t cols, const unsigned char* weights, bool accumulate,
              const std::uint64_t* begin, const Join& join) {
  thread_local Bytes scratch;
  alignas(64) std::int32_t sums[kSums * kTile * kTile];
  const std::size_t blocks = (cols + kDepth - 1) / kDepth, bytes = blocks * kDigits * kTileBytes;
  unsigned char* words = scratch.grow(bytes);
  for (std::size_t j = 0; j < g.length; j += kTile) {
    tile_digits(g, c0, cols, j, words);
    for (std::size_t r = 0; r < g.rows; ++r) {
      if (r % kTile == 0) tile_products(weights + r / kTile * bytes, words, blocks, sums);
      for (std::size_t k = 0; k < kTile; k += V::kLanes) {
        std::uint64_t* to = g.dst[r] + j + k;
        V::U first = V::set1_word(begin[r]);
        if (accumulate) first = V::add_words(first, V::load_words(to));
        V::store_words(to, join(sums + r % kTile * kTile + k, first));
      }
    }
  }
}

// Rows [r0, r0 + rows) of all sets.
void row_products(const MatmulArgs& g, std::size_t r0, std::size_t rows, const Join& join) {
  thread_local Bytes scratch;
  std::uint64_t begin[kMostRows], constant[kMostRows];
  const std::size_t heights = (rows + kTile - 1) / kTile, block = heights * kDigits * kTileBytes;
  std::size_t most = kMostBytes / block * kDepth;
  if (most > kMostColumns) most = kMostColumns;
  for (std::size_t c0 = 0; c0 < g.cols; c0 += most) {
    const std::size_t cols = most < g.cols - c0 ? most : g.cols - c0;
    const std::size_t bytes = (cols + kDepth - 1) / kDepth * kDigits * kTileBytes;
    MatmulArgs part = g;
    part.weight += r0 * g.stride;
    part.rows = rows;
    unsigned char* weights = scratch.grow(heights * bytes);
    for (std::size_t r = 0; r < rows; r += kTile) weight_digits(part, r, c0, cols, weights + r / kTile * bytes);
    const bool accumulate = c0 > 0 || g.start == SumStart::present;
    const bool constants = c0 == 0 && g.start == SumStart::constant;
    for (std::size_t r = 0; r < rows; ++r) {
      begin[r] = constant[r] = join.correction();
      if (constants) constant[r] += residue_of_centred(part.weight[r * g.stride + g.cols], g.dst_mod[0]->q);
    }
    for (std::size_t k = 0; k < g.sets; ++k) {
      part.packed = g.packed + k * g.cols;
      part.dst = g.dst + k * g.rows + r0;
      products(part, c0, cols, weights, accumulate, constants && k == 0 ? constant : begin, join);
    }
  }
}

void amx_matmul(const MatmulArgs& g) {
  if (g.packed == nullptr || g.exact || g.rows < kLeastRows || g.cols < kLeastColumns || !same_moduli(g))
    return avx512_kernels()->matmul(g);
  const Join join(*g.dst_mod[0]);
  const TileConfig config;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  _tile_loadconfig(&config);
  for (std::size_t r = 0; r < g.rows; r += kMostRows)
    row_products(g, r, kMostRows < g.rows - r ? kMostRows : g.rows - r, join);
  _tile_release();
}

// Whether the processor has tiles, and the system lets this process use them.
bool available() {
  constexpr unsigned kTiles = (1u << 24) | (1u << 25);  // AMX-TILE and AMX-INT8
  constexpr long kRequest = 0x1023, kTileData = 18;     // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  return avx512_kernels() != nullptr && __builtin_cpu_supports("avx512vbmi") &&
         __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTiles) == kTiles &&
         syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

}  // namespace

const Kernels* amx_kernels() {
  static const Kernels* const kernels = []() -> const Kernels* {
    if (!available()) return nullptr;
    static Kernels set = *avx512_kernels();
    set.name = "amx";
    set.matmul = amx_matmul;
    return &set;
  }();
  return kernels;
}

}  // namespace sotto::simd
