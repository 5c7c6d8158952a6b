// eval.key over a ring without security: keys come back as they were made, and no others.
#include "ckks/key_file.h"

#include <gtest/gtest.h>

#include "secret/keygen.h"
#include "support/expect_error.h"
#include "support/raw_container.h"
#include "support/toy_parameters.h"

namespace sotto::ckks {
namespace {

constexpr int kLogN = 7, kPrimes = 4;
const std::string kPlan(32, 'a');

bool same(const ring::Ring& ring, const ring::PackedPoly& a, const ring::PackedPoly& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t l = 0; l < a.size(); ++l)
    if (!std::equal(a[l].data(), a[l].data() + simd::kPackedBytes * ring.n(), b[l].data())) return false;
  return true;
}

class KeyFileTest : public ::testing::Test {
 protected:
  KeyFileTest() {
    for (int t = 0; t < 2; ++t)
      for (std::uint64_t g : {std::uint64_t{0}, ring->rotation_galois_element(1), ring->rotation_galois_element(-3)})
        request.keys.push_back({t, g});
    // To and from the ephemeral secret of bootstrapping.
    request.keys.push_back({0, kFromEphemeral});
    request.keys.push_back({2, kToEphemeral});
    std::sort(request.keys.begin(), request.keys.end());
    const secret::KeyGenerator generator(parameters, key);
    KeyFileWriter file(path, *ring, spec, request, kPlan, key.id());
    for (const KeyId& id : request.keys) {
      const KeyTier& tier = request.tiers[static_cast<std::size_t>(id.tier)];
      SeededSwitchingKey made = generator.switching_key(tier, id);
      file.write(made);
      keys.emplace(id, expand(*ring, tier, kPrimes, std::move(made)));
    }
    file.commit();
  }
  [[nodiscard]] KeyFile open(const std::string& plan_id = kPlan) const { return {path, ring, spec, request, plan_id}; }

  const ParametersSpec spec{
      .log_n = kLogN, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = kPrimes, .special_primes = 3};
  const Parameters parameters = ToyParameters::make(spec);
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const secret::SecretKey key = secret::SecretKey::generate(ring);
  KeyRequest request{{{kPrimes, 3}, {2, 2}, {1, 1, true}}, {}};
  std::map<KeyId, SwitchingKey> keys;
  test::TempFolder folder;
  const std::filesystem::path path = folder / "eval.key";
};

TEST_F(KeyFileTest, EveryKeyComesBack) {
  KeyFile file = open();
  EXPECT_EQ(file.key_id(), key.id());
  EXPECT_EQ(file.bytes(), std::filesystem::file_size(path));
  for (int round = 0; round < 3; ++round) {
    for (const auto& [id, expected] : keys) {
      const SwitchingKey& read = file.key(id);
      EXPECT_EQ(read.tier, expected.tier);
      ASSERT_EQ(read.digits.size(), expected.digits.size());
      for (std::size_t d = 0; d < read.digits.size(); ++d) {
        EXPECT_TRUE(same(*ring, read.digits[d].b, expected.digits[d].b));
        EXPECT_TRUE(same(*ring, read.digits[d].a, expected.digits[d].a)) << "expanded from the seed";
      }
    }
    file.drop_tier(round);  // read again in the next round
  }
}

TEST_F(KeyFileTest, KeysOfTheEphemeralSecretHaveOneDigit) {
  EXPECT_EQ(keys.at({0, kFromEphemeral}).digits.size(), 1u);
  EXPECT_EQ(keys.at({0, kFromEphemeral}).limbs(), kPrimes + 3);
  EXPECT_EQ(keys.at({0, kRelinearise}).digits.size(), 2u);
  EXPECT_EQ(keys.at({2, kToEphemeral}).digits.size(), 1u);
  EXPECT_EQ(keys.at({2, kToEphemeral}).limbs(), 2) << "never above q p";
}

TEST_F(KeyFileTest, PreparedKeysNeedTheFileNoMore) {
  KeyFile file = open();
  const std::vector<KeyId> some = {request.keys[0], request.keys[3], request.keys[4], request.keys[0]};
  file.prepare(some);
  file.prepare(some);
  const SwitchingKey* first = &file.key(request.keys[0]);
  test::Bytes garbage(std::filesystem::file_size(path), 0x5a);
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .write(reinterpret_cast<const char*>(garbage.data()), static_cast<std::streamsize>(garbage.size()));
  for (const KeyId& id : some) {
    const SwitchingKey &read = file.key(id), &expected = keys.at(id);
    ASSERT_EQ(read.digits.size(), expected.digits.size());
    for (std::size_t d = 0; d < read.digits.size(); ++d) {
      EXPECT_TRUE(same(*ring, read.digits[d].b, expected.digits[d].b));
      EXPECT_TRUE(same(*ring, read.digits[d].a, expected.digits[d].a));
    }
  }
  EXPECT_EQ(&file.key(request.keys[0]), first);
  EXPECT_TRUE(test::refuses([&] { (void)file.key(request.keys[1]); }, {"corrupted"})) << "not prepared";
  file.drop_tier(request.keys[0].tier);
  EXPECT_TRUE(test::refuses([&] { (void)file.key(request.keys[0]); }, {"corrupted"})) << "dropped";
}

TEST_F(KeyFileTest, PreparingKeysThatAreNotThereOrDamaged) {
  KeyFile file = open();
  EXPECT_TRUE(test::fails_with(
      [&] {
        file.prepare(std::vector<KeyId>{request.keys[0], {1, 77}});
      },
      ErrorCode::wrong_key, {"lacks"}));
  test::Bytes bytes = test::read_bytes(path);
  bytes.back() ^= 1;
  test::write_bytes(path, bytes);
  KeyFile damaged = open();
  EXPECT_TRUE(test::refuses([&] { damaged.prepare(request.keys); }, {path.string(), "corrupted"}));
  EXPECT_NO_THROW((void)damaged.key(request.keys[0]));
}

TEST_F(KeyFileTest, SectionsHaveTheSizesThatTheCostModelCounts) {
  const auto expected = key_section_bytes(ring->n(), ring->prime_bits(), request);
  const wire::FileReader file(path, wire::Kind::eval_key);
  ASSERT_EQ(file.sections(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(file.section_bytes(i), expected[i]);
}

TEST_F(KeyFileTest, KeysOfAnotherPlan) {
  EXPECT_TRUE(test::fails_with([&] { (void)open(std::string(32, 'b')); }, ErrorCode::wrong_key,
                               {path.string(), "another plan"}));
}

TEST_F(KeyFileTest, KeysThatAreNotThere) {
  KeyFile file = open();
  EXPECT_TRUE(test::fails_with(
      [&] {
        (void)file.key({0, ring->rotation_galois_element(2)});
      },
      ErrorCode::wrong_key, {path.string(), "lacks"}));
  EXPECT_TRUE(test::fails_with([&] { (void)file.key({2, 0}); }, ErrorCode::wrong_key));
  KeyMap none;
  EXPECT_TRUE(test::fails_with([&] { (void)none.key({0, 0}); }, ErrorCode::wrong_key));
}

TEST_F(KeyFileTest, RequestsOfOtherSizes) {
  const auto refused = [&](auto change) {
    KeyRequest other = request;
    change(other);
    return test::refuses([&] { KeyFile(path, ring, spec, other, kPlan); }, {path.string(), "sizes"});
  };
  EXPECT_TRUE(refused([](KeyRequest& r) { r.keys.pop_back(); }));
  EXPECT_TRUE(refused([](KeyRequest& r) { r.keys.push_back({1, 5}); }));
  EXPECT_TRUE(refused([](KeyRequest& r) { r.tiers[1] = {3, 3}; }));
  EXPECT_TRUE(refused([](KeyRequest& r) { std::swap(r.tiers[0], r.tiers[1]); }));
  for (int ParametersSpec::*member :
       {&ParametersSpec::log_n, &ParametersSpec::ciphertext_primes, &ParametersSpec::special_primes}) {
    ParametersSpec larger = spec;
    ++(larger.*member);
    EXPECT_TRUE(test::refuses([&] { KeyFile(path, ring, larger, request, kPlan); }, {"sizes"}));
  }
}

TEST_F(KeyFileTest, ResiduesBeyondTheirPrimes) {
  const std::size_t n = ring->n();
  const SwitchingKey& first = keys.begin()->second;
  for (const std::size_t limb : {0, kPrimes - 1, kPrimes, first.limbs() - 1}) {
    for (const std::size_t word : {std::size_t{0}, n - 1}) {
      test::Contents contents(path, wire::Kind::eval_key);
      const std::uint64_t q = ring->prime(limb);
      std::memcpy(contents.sections[0].data() + sizeof(Seed) + (limb * n + word) * 6, &q, 6);
      contents.write(folder / "forged", wire::Kind::eval_key);
      KeyFile file(folder / "forged", ring, spec, request, kPlan);
      EXPECT_TRUE(test::refuses([&] { (void)file.key(keys.begin()->first); }, {"forged", "out of range"}))
          << limb << " " << word;
      EXPECT_NO_THROW((void)file.key(keys.rbegin()->first));
    }
  }
}

TEST_F(KeyFileTest, DamageIsFoundWhenTheKeyIsRead) {
  test::Bytes bytes = test::read_bytes(path);
  bytes.back() ^= 1;
  test::write_bytes(path, bytes);
  KeyFile file = open();
  EXPECT_NO_THROW((void)file.key(keys.begin()->first));
  EXPECT_TRUE(test::refuses([&] { (void)file.key(keys.rbegin()->first); }, {path.string(), "corrupted"}));
}

TEST_F(KeyFileTest, HeadersWithoutTheirMembers) {
  for (const char* member : {"plan_id", "key_id", "log_n", "ciphertext_primes", "special_primes"}) {
    for (const bool erase : {true, false}) {
      test::Contents contents(path, wire::Kind::eval_key);
      if (erase)
        contents.header.erase(member);
      else
        contents.header[member] = nlohmann::json::array();
      contents.write(folder / "forged", wire::Kind::eval_key);
      EXPECT_TRUE(test::refuses([&] { KeyFile(folder / "forged", ring, spec, request, kPlan); }, {"forged", member}));
    }
  }
}

}  // namespace
}  // namespace sotto::ckks
