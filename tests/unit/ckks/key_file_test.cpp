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
    const secret::KeyGenerator generator(kPrimes, key);
    KeyFileWriter file(path, KeyList(parameters, request), signing);
    for (const KeyId& id : request.keys) {
      SeededSwitchingKey made =
          generator.switching_key({request.tiers[static_cast<std::size_t>(id.tier)], id.galois_element});
      file.write(*ring, made);
      keys.emplace(id, expand(*ring, kPrimes, std::move(made)));
    }
    file.commit();
  }
  [[nodiscard]] KeyFile open() const { return {path, ring, spec, request}; }

  const ParametersSpec spec{
      .log_n = kLogN, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = kPrimes, .special_primes = 3};
  const Parameters parameters = ToyParameters::make(spec);
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const secret::OwnerKey owner = secret::OwnerKey::generate();
  const signing::SigningKey signing = owner.signing_key();
  const secret::SecretKey key = owner.secret_of(ring);
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
    for (const auto& [id, expected] : keys)
      if (id.tier == round) file.drop(id);  // read again in the next round
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
  file.drop(request.keys[0]);
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
  bytes[bytes.size() - wire::kSignatureBytes - wire::kChecksumBytes - 1] ^= 1;  // of the last key
  test::write_bytes(path, bytes);
  KeyFile damaged = open();
  EXPECT_TRUE(test::refuses([&] { damaged.prepare(request.keys); }, {path.string(), "corrupted"}));
  EXPECT_NO_THROW((void)damaged.key(request.keys[0]));
}

TEST_F(KeyFileTest, SectionsHaveTheSizesThatTheCostModelCounts) {
  const std::vector<KeyShape> shapes = shapes_of(request);
  const wire::FileReader file(path, wire::Kind::eval_key);
  ASSERT_EQ(file.sections(), shapes.size());
  for (std::size_t i = 0; i < shapes.size(); ++i) EXPECT_EQ(file.section_bytes(i), key_bytes(spec, shapes[i]));
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

// A shorter key is the beginning of a longer one with as many special primes.
TEST_F(KeyFileTest, LongerKeysServeInThePlaceOfShorterOnes) {
  KeyRequest lower{{{kPrimes - 1, 3}, {1, 2}, {1, 1, true}}, request.keys};
  ParametersSpec fewer = spec;
  fewer.ciphertext_primes = kPrimes - 1;
  const auto smaller = ToyParameters::make(fewer).make_ring(simd::select_kernels());
  KeyFile file(path, smaller, fewer, lower);
  for (const KeyId& id : lower.keys) {
    const SwitchingKey &read = file.key(id), &whole = keys.at(id);
    EXPECT_EQ(read.tier, lower.tiers[static_cast<std::size_t>(id.tier)]);
    ASSERT_EQ(read.digits.size(), static_cast<std::size_t>(key_digits(read.tier, id.galois_element)));
    for (std::size_t d = 0; d < read.digits.size(); ++d) {
      ASSERT_EQ(read.digits[d].b.size(), static_cast<std::size_t>(read.limbs()));
      for (int j = 0; j < read.limbs(); ++j) {
        const int of_whole = j < read.tier.max_limbs ? j : j + whole.tier.max_limbs - read.tier.max_limbs;
        for (const auto part : {&SwitchingKey::Digit::b, &SwitchingKey::Digit::a})
          EXPECT_EQ(std::memcmp((read.digits[d].*part)[j].data(), (whole.digits[d].*part)[of_whole].data(),
                                simd::kPackedBytes * ring->n()),
                    0)
              << id.galois_element << " " << d << " " << j;
      }
    }
  }
}

TEST_F(KeyFileTest, RequestsThatItDoesNotServe) {
  const auto refused = [&](auto change) {
    KeyRequest other = request;
    change(other);
    EXPECT_FALSE(KeyFileContents(wire::FileReader(path, wire::Kind::eval_key)).serves(spec, other));
    return test::fails_with([&] { KeyFile(path, ring, spec, other); }, ErrorCode::wrong_key, {path.string(), "lacks"});
  };
  EXPECT_TRUE(KeyFileContents(wire::FileReader(path, wire::Kind::eval_key)).serves(spec, request));
  EXPECT_TRUE(refused([](KeyRequest& r) { r.keys.push_back({1, 9}); }));
  EXPECT_TRUE(refused([](KeyRequest& r) { r.tiers[1] = {3, 2}; })) << "longer";
  EXPECT_TRUE(refused([](KeyRequest& r) {
    r.tiers[1] = {2, 3};
    r.tiers[0] = {kPrimes, 2};
  })) << "other special primes";
  for (ParametersSpec other : {ParametersSpec{kLogN + 1, spec.kind, kPrimes, 3},
                               {kLogN, spec.kind, kPrimes, 3, 40},
                               {kLogN, ring::RingKind::standard, kPrimes, 3}})
    EXPECT_TRUE(test::fails_with([&] { KeyFile(path, ring, other, request); }, ErrorCode::wrong_key, {"lacks"}));
}

TEST_F(KeyFileTest, SectionsOfOtherSizes) {
  const auto refused = [&](auto change) {
    test::Contents contents(path, wire::Kind::eval_key);
    change(contents);
    contents.write(folder / "forged", wire::Kind::eval_key);
    return test::refuses([&] { KeyFile(folder / "forged", ring, spec, request); }, {"forged", "announces"});
  };
  EXPECT_TRUE(refused([](test::Contents& c) { c.sections.pop_back(); }));
  EXPECT_TRUE(refused([](test::Contents& c) { c.sections.front().pop_back(); }));
  EXPECT_TRUE(refused([](test::Contents& c) { c.header["rings"][0]["keys"][0][0] = 3; }));
  EXPECT_TRUE(refused([](test::Contents& c) { c.header["rings"][0]["log_n"] = kLogN + 1; }));
  EXPECT_TRUE(refused([](test::Contents& c) { c.header["rings"].push_back(c.header["rings"][0]); }));
}

TEST_F(KeyFileTest, ImpossibleKeys) {
  for (const auto& wrong : {nlohmann::json{0, 3, 0},
                            {65, 3, 0},
                            {4, 0, 0},
                            {4, 25, 0},
                            {9, 1, 5},
                            {-1, 3, 0},
                            {4, 3},
                            {4, 3, 0, 0},
                            {4, 3, "0"},
                            {4, 3, 0.5},
                            nlohmann::json::object()}) {
    test::Contents contents(path, wire::Kind::eval_key);
    contents.header["rings"][0]["keys"][0] = wrong;
    contents.write(folder / "forged", wire::Kind::eval_key);
    EXPECT_TRUE(test::refuses([&] { KeyFile(folder / "forged", ring, spec, request); }, {"forged", "keys"})) << wrong;
  }
}

// Keys of two plans in one list: the longer of two that are alike, and those that only one plan needs.
TEST_F(KeyFileTest, PlansShareWhatTheyHaveInCommon) {
  const KeyRequest longer{{{kPrimes + 2, 3}, {2, 2}}, {{0, 0}, {0, 5}, {1, 0}}};
  ParametersSpec more = spec;
  more.ciphertext_primes = kPrimes + 2;
  KeyList list(parameters, request);
  const std::size_t alone = list.size();
  list.add(ToyParameters::make(more), longer);
  ASSERT_EQ(list.rings().size(), 1u);
  EXPECT_EQ(list.rings()[0].ring.ciphertext_primes, kPrimes + 2);
  EXPECT_EQ(list.size(), alone + 1 - (ring->rotation_galois_element(1) == 5)) << "element 5 is new to a tier of 3";
  const auto found = find_key(list.rings(), spec, {{kPrimes, 3}, kRelinearise});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->shape.tier.max_limbs, kPrimes + 2);
  list.add(parameters, request);
  list.add(ToyParameters::make(more), longer);
  EXPECT_EQ(list.size(), alone + 1 - (ring->rotation_galois_element(1) == 5)) << "nothing new";
  more.log_n = kLogN + 1;
  list.add(ToyParameters::make(more), longer);
  ASSERT_EQ(list.rings().size(), 2u);
  EXPECT_EQ(list.rings()[1].keys.size(), 3u) << "rings share nothing";
  // The numbers of primes are the most of any plan, one by one.
  more = spec;
  more.ciphertext_primes = 1;
  more.special_primes = spec.special_primes + 2;
  list.add(ToyParameters::make(more), {{{1, 1}}, {{0, 0}}});
  EXPECT_EQ(list.rings()[0].ring.ciphertext_primes, kPrimes + 2);
  EXPECT_EQ(list.rings()[0].ring.special_primes, spec.special_primes + 2);
}

TEST_F(KeyFileTest, ResiduesBeyondTheirPrimes) {
  const std::size_t n = ring->n();
  const SwitchingKey& first = keys.begin()->second;
  for (const std::size_t limb : {0, kPrimes - 1, kPrimes, first.limbs() - 1}) {
    for (const std::size_t word : {std::size_t{0}, n - 1}) {
      test::Contents contents(path, wire::Kind::eval_key);
      const std::uint64_t q = ring->prime(limb);
      std::memcpy(contents.sections[0].data() + sizeof(Seed) + (limb * n + word) * 6, &q, 6);
      contents.signed_by(folder / "forged", wire::Kind::eval_key, signing);
      KeyFile file(folder / "forged", ring, spec, request);
      EXPECT_TRUE(test::refuses([&] { (void)file.key(keys.begin()->first); }, {"forged", "out of range"}))
          << limb << " " << word;
      EXPECT_NO_THROW((void)file.key(keys.rbegin()->first));
    }
  }
}

TEST_F(KeyFileTest, DamageIsFoundWhenTheKeyIsRead) {
  test::Bytes bytes = test::read_bytes(path);
  bytes[bytes.size() - wire::kSignatureBytes - wire::kChecksumBytes - 1] ^= 1;  // of the last key
  test::write_bytes(path, bytes);
  KeyFile file = open();
  EXPECT_NO_THROW((void)file.key(keys.begin()->first));
  EXPECT_TRUE(test::refuses([&] { (void)file.key(keys.rbegin()->first); }, {path.string(), "corrupted"}));
}

// Whoever carries the keys can compute checksums, but not the owner's signature.
TEST_F(KeyFileTest, KeysThatTheirOwnerDidNotSign) {
  test::Contents contents(path, wire::Kind::eval_key);
  const auto refused = [&] {
    return test::fails_with([&] { KeyFile(folder / "forged", ring, spec, request); }, ErrorCode::wrong_key,
                            {"forged", "sign"});
  };
  contents.write(folder / "forged", wire::Kind::eval_key);
  EXPECT_TRUE(refused());
  contents.signed_by(folder / "forged", wire::Kind::eval_key, signing::SigningKey::generate());
  EXPECT_TRUE(refused());
  contents.signed_by(folder / "forged", wire::Kind::eval_key, signing);
  EXPECT_EQ(KeyFile(folder / "forged", ring, spec, request).key_id(), key.id());
  contents.header["key_id"] = secret::OwnerKey::generate().id();
  contents.signed_by(folder / "forged", wire::Kind::eval_key, signing);
  EXPECT_TRUE(refused()) << "in another's name";
}

TEST_F(KeyFileTest, HeadersWithoutTheirMembers) {
  const auto refused = [&](const char* member, bool erase, auto part) {
    test::Contents contents(path, wire::Kind::eval_key);
    nlohmann::json& object = part(contents.header);
    if (erase)
      object.erase(member);
    else
      object[member] = "none";
    contents.write(folder / "forged", wire::Kind::eval_key);
    return test::refuses([&] { KeyFile(folder / "forged", ring, spec, request); }, {"forged", member});
  };
  const auto whole = [](nlohmann::json& h) -> nlohmann::json& { return h; };
  const auto of_ring = [](nlohmann::json& h) -> nlohmann::json& { return h["rings"][0]; };
  EXPECT_TRUE(refused("key_id", true, whole));
  for (const bool erase : {true, false}) {
    EXPECT_TRUE(refused("rings", erase, whole));
    for (const char* member : {"log_n", "ring", "prime_bits", "keys"}) EXPECT_TRUE(refused(member, erase, of_ring));
  }
}

}  // namespace
}  // namespace sotto::ckks
