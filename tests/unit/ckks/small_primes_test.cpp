// Levels of any size: every operation at levels that lack small primes, and divisions between all of them.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "ckks/encoder.h"
#include "ckks/evaluator.h"
#include "secret/crypt.h"
#include "support/expect_error.h"
#include "support/toy_parameters.h"

namespace sotto::ckks {
namespace {

constexpr int kLogN = 10, kSmall = 3, kPrimes = 8;

TEST(Levels, HaveSizes) {
  for (int small : {0, 1, 3, 7})
    for (int units = small * small + small + 1; units < 200; ++units) {
      const Level level = level_of_size(units, small);
      EXPECT_EQ(units_of(level, small), units);
      EXPECT_GE(level.absent, 0);
      EXPECT_LE(level.absent, small);
      EXPECT_GT(level.limbs, small);
    }
  EXPECT_EQ(level_of_size(5, 0), Level(5));
  EXPECT_EQ(level_of_size(4 * 5, 3), Level(8, 3)) << "five primes, none of them small";
  EXPECT_EQ(level_of_size(4 * 5 + 3, 3), Level(8, 2));
}

TEST(Levels, CoverAndJoin) {
  EXPECT_TRUE(Level(5, 1).covers({5, 1}));
  EXPECT_TRUE(Level(5, 1).covers({4, 2}));
  EXPECT_FALSE(Level(5, 1).covers({6, 1}));
  EXPECT_FALSE(Level(5, 1).covers({5, 0}));
  EXPECT_EQ(join({5, 1}, {4, 0}), Level(5, 0));
  EXPECT_EQ(meet({5, 1}, {4, 0}), Level(4, 1));
}

TEST(SmallPrimes, OfTheirSizeAndCountedAsSuch) {
  const Parameters p = Parameters::create(
      {.log_n = 16, .ciphertext_primes = 23, .special_primes = 11, .primes_at_once = 34, .small_primes = kSmall});
  double bits = 0;
  for (std::size_t k = 0; k < p.primes().size(); ++k) {
    const double size = std::log2(static_cast<double>(p.primes()[k]));
    EXPECT_NEAR(size, k < kSmall ? 36 : 48, 0.01);
    bits += size;
  }
  EXPECT_NEAR(p.log2_qp(), bits, 1e-6);
  // 37 primes of 48 bits are too many, of which three are small are not.
  const auto of = [](int small) {
    return ParametersSpec{.log_n = 16, .ciphertext_primes = 26, .special_primes = 11, .small_primes = small};
  };
  EXPECT_NO_THROW((void)Parameters::create(of(kSmall)));
  EXPECT_FALSE(same_ring(of(0), of(kSmall)));
  for (int small : {-1, 8})
    EXPECT_TRUE(test::refuses([&] { (void)Parameters::create(of(small)); }, {"out of range"})) << small;
  EXPECT_TRUE(test::refuses(
      [] { (void)Parameters::create({.log_n = 16, .ciphertext_primes = 3, .special_primes = 2, .small_primes = 3}); },
      {"out of range"}));
}

// A tier of few limbs lacks small primes, and has the bits of others in their place.
TEST(SmallPrimes, KeysCountThoseThatTheyHave) {
  const ParametersSpec p{.log_n = 14, .ciphertext_primes = 8, .special_primes = 8, .small_primes = kSmall};
  EXPECT_NO_THROW(require_secure(p, {{{1, 8}}, {}})) << "36 + 8 * 48 bits of 430";
  EXPECT_NO_THROW(require_secure(p, {{{5, 4}}, {}}));
  EXPECT_TRUE(test::refuses([&] { require_secure(p, {{{2, 8}}, {}}); }, {"security table"})) << "2 * 36 + 8 * 48";
}

class SmallPrimesAtLevels : public ::testing::TestWithParam<int> {  // special primes
 protected:
  SmallPrimesAtLevels()
      : parameters(ToyParameters::make({.log_n = kLogN,
                                        .kind = ring::RingKind::conjugate_invariant,
                                        .ciphertext_primes = kPrimes,
                                        .special_primes = GetParam(),
                                        .small_primes = kSmall})),
        ring(parameters.make_ring(simd::select_kernels())),
        encoder(kLogN, ring->kind()),
        key(secret::SecretKey::generate(ring)),
        evaluator(parameters, ring, {{kPrimes, GetParam()}}, &keys) {
    const secret::KeyGenerator generator(kPrimes, key);
    for (std::uint64_t g : {kRelinearise, ring->rotation_galois_element(3)})
      keys.keys.emplace(KeyId{0, g}, expand(*ring, kPrimes, generator.switching_key({{kPrimes, GetParam()}, g})));
  }

  static std::vector<Level> levels() {
    std::vector<Level> all;
    for (int limbs = kSmall + 1; limbs <= kPrimes; ++limbs)
      for (int absent = 0; absent <= kSmall; ++absent) all.push_back({limbs, absent});
    return all;
  }

  std::vector<double> random_slots(unsigned seed) const {
    std::mt19937_64 rng(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<double> v(encoder.slots());
    for (double& x : v) x = uniform(rng);
    return v;
  }

  Ciphertext encrypt(const std::vector<double>& v, const Level& level, double scale) const {
    const Plaintext p = encode(*ring, encoder.embed_inverse(std::span<const double>(v)), scale, level);
    EXPECT_EQ(p.level(), level);
    return ckks::expand(*ring, secret::encrypt_symmetric(key, p, random_seed(), 0));
  }

  void expect_slots(const Ciphertext& c, const std::vector<double>& expected, double tolerance) const {
    const auto v = encoder.embed(secret::decrypt(key, c));
    double worst = 0;
    for (std::size_t j = 0; j < v.size(); ++j) worst = std::max(worst, std::abs(v[j].real() / c.scale - expected[j]));
    EXPECT_LT(worst, tolerance);
  }

  Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  Encoder encoder;
  secret::SecretKey key;
  KeyMap keys;
  Evaluator evaluator;
};

TEST_P(SmallPrimesAtLevels, EveryOperationAtEveryLevel) {
  const auto a = random_slots(1), b = random_slots(2);
  std::vector<double> sum, product, square, rotated;
  for (std::size_t j = 0; j < a.size(); ++j) {
    sum.push_back(a[j] + b[j]);
    product.push_back(a[j] * b[j]);
    square.push_back(a[j] * a[j]);
    rotated.push_back(a[(j + 3) % a.size()]);
  }
  for (const Level& level : levels()) {
    SCOPED_TRACE(std::to_string(level.limbs) + " limbs, absent " + std::to_string(level.absent));
    const double scale = 0x1p34;
    const Ciphertext x = encrypt(a, level, scale), y = encrypt(b, level, scale);
    EXPECT_EQ(x.level(), level);
    expect_slots(x, a, 1e-4);
    expect_slots(evaluator.add(x, y), sum, 1e-4);
    expect_slots(evaluator.rotate(x, 3), rotated, 1e-3);
    expect_slots(unpack(*ring, pack(*ring, evaluator.drop_to(x, level)), level), a, 1e-4);
    if (level.limbs < kSmall + 3) continue;  // no room for products
    const Ciphertext twice = evaluator.rotate_sum(x, std::array<std::int64_t, 1>{3});
    std::vector<double> both = a;
    for (std::size_t j = 0; j < both.size(); ++j) both[j] += rotated[j];
    expect_slots(twice, both, 1e-3);
    const Ciphertext p = evaluator.multiply(x, y), s = evaluator.square(evaluator.drop_to(x, level), level);
    EXPECT_EQ(p.level(), Level(level.limbs - 1, level.absent));
    EXPECT_EQ(s.level(), level);
    expect_slots(p, product, 1e-2);
    expect_slots(s, square, 1e-3);
  }
}

// Whatever leaves and whatever joins: small primes, others, both, or none.
TEST_P(SmallPrimesAtLevels, DivisionsBetweenAllLevels) {
  const auto a = random_slots(3);
  std::vector<double> square;
  for (double v : a) square.push_back(v * v);
  int joined = 0;
  for (const Level& from : levels())
    for (const Level& to : levels()) {
      if (to.limbs > from.limbs) continue;
      const double divisor = evaluator.divisor(from, to);
      joined += to.absent < from.absent;
      // Not all divide: those by little are no use, but exact. What is left must be above the rounding.
      const double left = 0x1p26, scale = left * divisor;
      if (scale > 0x1p58 || scale < 0x1p15) continue;
      SCOPED_TRACE(std::to_string(from.limbs) + " without " + std::to_string(from.absent) + " to " +
                   std::to_string(to.limbs) + " without " + std::to_string(to.absent));
      const Ciphertext x = evaluator.rescale(encrypt(a, from, scale), to);
      EXPECT_EQ(x.level(), to);
      EXPECT_NEAR(x.scale / left, 1, 1e-9);
      expect_slots(x, a, 2e-2);
      const double root = std::sqrt(scale);
      if (root < 0x1p19 || from.limbs < kSmall + 2) continue;
      const Ciphertext s = evaluator.square(encrypt(a, from, root), to);
      EXPECT_EQ(s.level(), to);
      EXPECT_NEAR(s.scale / left, 1, 1e-9);
      expect_slots(s, square, 5e-2);
    }
  EXPECT_GT(joined, 0);
  EXPECT_TRUE(test::fails_with([&] { (void)evaluator.rescale(encrypt(a, 6, 0x1p30), 7); }, ErrorCode::internal, {}))
      << "others than small primes do not join";
}

// Digits of one limb, of two, and of more than there are small primes: some consist of absent limbs alone.
INSTANTIATE_TEST_SUITE_P(Digits, SmallPrimesAtLevels, ::testing::Values(2, 3, 5));

}  // namespace
}  // namespace sotto::ckks
