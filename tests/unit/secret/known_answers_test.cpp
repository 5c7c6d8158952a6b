// Keys, secrets, uniform polynomials and errors against what other libraries make of the same bytes
// (tests/golden/sampling).
#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "ckks/sampler.h"
#include "encrypt/small.h"
#include "secret/secret_key.h"
#include "signing/signing_key.h"

namespace sotto::secret {
namespace {

using nlohmann::json;
using u64 = std::uint64_t;

constexpr u64 kPrime = 281474975662081ull;  // 1 modulo 2^18

const json& vectors() {
  static const json v = json::parse(std::ifstream(SOTTO_SOURCE_DIR "/tests/golden/sampling/vectors.json"));
  return v;
}

OwnerKey owner() {
  SecretArray<unsigned char> bytes(OwnerKey::kBytes);
  EXPECT_TRUE(from_hex(vectors()["owner"].get<std::string>(), {bytes.data(), bytes.size()}));
  return OwnerKey(bytes);
}

// BLAKE2b of 64-bit little-endian words.
template <class Words>
std::string digest(const Words& words, std::size_t count) {
  std::array<unsigned char, 32> out{};
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(words), count * 8, nullptr, 0);
  return to_hex(out);
}

TEST(KnownAnswers, OwnersSign) {
  const signing::SigningKey key = owner().signing_key();
  EXPECT_EQ(to_hex(key.verification_key()), vectors().at("verification_key").get<std::string>());
  EXPECT_EQ(owner().id(), vectors().at("id").get<std::string>());
  const std::string message = vectors()["message"];
  EXPECT_EQ(to_hex(key.sign({reinterpret_cast<const unsigned char*>(message.data()), message.size()})),
            vectors().at("signature").get<std::string>());
}

TEST(KnownAnswers, DerivedBytes) {
  const SecretArray<unsigned char> bytes = owner().derive("purpose", "what");
  EXPECT_EQ(to_hex({bytes.data(), bytes.size()}), vectors().at("derived").get<std::string>());
}

TEST(KnownAnswers, SecretsOfRings) {
  for (const json& v : vectors()["secrets"]) {
    const auto kind = v["conjugate_invariant"] ? ring::RingKind::conjugate_invariant : ring::RingKind::standard;
    const auto ring = std::make_shared<ring::Ring>(v["log_rank"], kind, std::vector{kPrime}, simd::scalar_kernels());
    const SecretKey key = owner().secret_of(ring, static_cast<ckks::SecurityLevel>(v["level"].get<int>()));
    SecretArray<u64> x = key.values(0);
    ring->intt(x.data(), x.data(), 0);
    std::vector<std::int64_t> s;
    for (std::size_t k = 0; k < ring->n(); ++k) s.push_back(x[k] == kPrime - 1 ? -1 : static_cast<std::int64_t>(x[k]));
    EXPECT_EQ(digest(s.data(), s.size()), v["digest"].get<std::string>()) << v;
  }
}

TEST(KnownAnswers, UniformPolynomials) {
  ckks::Seed seed;
  ASSERT_TRUE(from_hex(vectors()["seed"].get<std::string>(), seed));
  for (const json& v : vectors()["uniform"]) {
    const ring::Ring ring(v["log_rank"], ring::RingKind::standard, {v["prime"].get<u64>()}, simd::scalar_kernels());
    std::vector<u64> words(ring.n());
    ckks::expand_uniform(ring, seed, v["stream"], 0, words.data());
    for (std::size_t k = 0; k < v["first"].size(); ++k) EXPECT_EQ(words[k], v["first"][k]) << v;
    EXPECT_EQ(digest(words.data(), words.size()), v["digest"].get<std::string>()) << v;
  }
}

// A generator of bytes that gives what it is told, in the place of the system's.
class FixedBytes {
 public:
  explicit FixedBytes(std::vector<unsigned char> bytes) {
    left() = std::move(bytes);
    randombytes_set_implementation(&implementation_);
  }
  FixedBytes(const FixedBytes&) = delete;
  FixedBytes& operator=(const FixedBytes&) = delete;
  ~FixedBytes() { randombytes_set_implementation(&randombytes_sysrandom_implementation); }

 private:
  static std::vector<unsigned char>& left() {
    static std::vector<unsigned char> bytes;
    return bytes;
  }
  static void give(void* to, std::size_t count) {  // zeros behind the end
    const std::size_t given = std::min(count, left().size());
    std::memset(to, 0, count);
    std::copy_n(left().begin(), given, static_cast<unsigned char*>(to));
    left().erase(left().begin(), left().begin() + static_cast<std::ptrdiff_t>(given));
  }
  randombytes_implementation implementation_{.implementation_name = [] { return "fixed"; },
                                             .random = [] { return std::uint32_t{0}; },
                                             .stir = nullptr,
                                             .uniform = nullptr,
                                             .buf = give,
                                             .close = nullptr};
};

// Words just below and above each bound of the distribution, up to the precision of the table: 2^-56 of probability.
TEST(KnownAnswers, ErrorsFollowTheRoundedGaussian) {
  ASSERT_GE(sodium_init(), 0);
  const auto bounds = vectors()["error_bounds"].get<std::vector<u64>>();
  constexpr std::size_t kChunk = 1024;
  constexpr u64 kTolerance = 256;
  std::vector<u64> words(kChunk, 0);
  std::vector<int> magnitudes(kChunk, 0);
  std::size_t used = 0;
  for (std::size_t k = 0; k < bounds.size() && bounds[k] < ~u64{0} - 2 * kTolerance; ++k) {
    words[used] = bounds[k] - kTolerance;
    magnitudes[used++] = static_cast<int>(k);
    words[used] = bounds[k] + kTolerance;
    magnitudes[used++] = static_cast<int>(k) + 1;
  }
  ASSERT_GT(used, 50u);
  std::vector<unsigned char> bytes(kChunk * 8 + kChunk);
  std::memcpy(bytes.data(), words.data(), kChunk * 8);
  for (std::size_t i = 0; i < kChunk; ++i) bytes[kChunk * 8 + i] = static_cast<unsigned char>(i % 2);  // signs
  SecretArray<std::int8_t> errors(kChunk);
  {
    const FixedBytes fixed(std::move(bytes));
    encrypt::sample_error(errors);
  }
  for (std::size_t i = 0; i < used; ++i) ASSERT_EQ(errors[i], i % 2 == 0 ? magnitudes[i] : -magnitudes[i]) << i;
}

}  // namespace
}  // namespace sotto::secret
