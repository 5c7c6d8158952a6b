// Files of ciphertexts over a ring without security: what is written comes back, what does not fit the plan is refused.
#include "ckks/ciphertext_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "support/expect_error.h"
#include "support/raw_container.h"
#include "support/toy_parameters.h"

namespace sotto::ckks {
namespace {

using test::refuses;
using wire::Kind;

constexpr int kLimbs = 2;

class CiphertextFile : public ::testing::TestWithParam<Kind> {
 protected:
  CiphertextFile() {
    std::mt19937_64 rng(1);
    CiphertextWriter file(path, GetParam(), *ring, info);
    for (std::uint64_t k = 0; k < 6; ++k) {
      ring::RnsPoly c0 = random_poly(rng), copy = clone(c0);
      Ciphertext c = GetParam() == Kind::input ? expand(*ring, {std::move(copy), *info.seed, k, info.scale})
                                               : Ciphertext{std::move(copy), random_poly(rng), info.scale};
      if (GetParam() == Kind::input)
        file.write(SeededCiphertext{std::move(c0), *info.seed, k, info.scale});
      else
        file.write(c);
      written.push_back(std::move(c));
    }
    file.commit();
  }

  [[nodiscard]] ring::RnsPoly random_poly(std::mt19937_64& rng) const {
    ring::RnsPoly p;
    for (std::size_t l = 0; l < kLimbs; ++l) {
      p.push_back(ring->limb());
      for (std::size_t i = 0; i < ring->n(); ++i) p[l].data()[i] = rng() % ring->prime(l);
    }
    return p;
  }
  [[nodiscard]] ring::RnsPoly clone(const ring::RnsPoly& from) const {
    ring::RnsPoly p;
    for (const auto& limb : from) {
      p.push_back(ring->limb());
      std::copy_n(limb.data(), ring->n(), p.back().data());
    }
    return p;
  }
  [[nodiscard]] bool same(const ring::RnsPoly& a, const ring::RnsPoly& b) const {
    if (a.size() != b.size()) return false;
    for (std::size_t l = 0; l < a.size(); ++l)
      if (!std::equal(a[l].data(), a[l].data() + ring->n(), b[l].data())) return false;
    return true;
  }
  // The file with another header, read again.
  template <class F>
  ::testing::AssertionResult forged_refused(F change, std::initializer_list<std::string_view> words = {}) const {
    test::Contents contents(path, GetParam());
    change(contents);
    contents.write(folder / "forged", GetParam());
    return refuses([&] { CiphertextReader(folder / "forged", GetParam()); }, words);
  }

  const ParametersSpec spec{
      .log_n = 7, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = 3, .special_primes = 1};
  const Parameters parameters = ToyParameters::make(spec);
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  // 11 images in batches of 8: two batches of three ciphertexts.
  const CiphertextFileInfo info{std::string(32, 'a'), std::string(32, 'b'), "input", 11, 8, 3, kLimbs,
                                0x1p30 + 0.5,         random_seed()};
  std::vector<Ciphertext> written;
  test::TempFolder folder;
  const std::filesystem::path path = folder / "file.sotto";
};

TEST_P(CiphertextFile, RoundTrip) {
  const CiphertextReader file(path, GetParam());
  EXPECT_EQ(file.info().plan_id, info.plan_id);
  EXPECT_EQ(file.info().key_id, info.key_id);
  EXPECT_EQ(file.info().input_id, info.input_id);
  EXPECT_EQ(file.info().images, 11u);
  EXPECT_EQ(file.info().batch, 8u);
  EXPECT_EQ(file.info().batches(), 2u);
  EXPECT_EQ(file.info().per_batch, 3u);
  EXPECT_EQ(file.info().level, kLimbs);
  EXPECT_EQ(file.info().scale, info.scale);
  EXPECT_EQ(file.info().seed, GetParam() == Kind::input ? info.seed : std::nullopt);
  EXPECT_EQ(file.bytes(), std::filesystem::file_size(path));
  for (const std::uint64_t k : {5, 0, 3, 1, 2, 4}) {
    const Ciphertext c = file.read(*ring, k);
    EXPECT_TRUE(same(c.c0, written[k].c0)) << k;
    EXPECT_TRUE(same(c.c1, written[k].c1)) << k;
    EXPECT_EQ(c.scale, info.scale);
  }
  EXPECT_FALSE(same(written[0].c1, written[1].c1)) << "every ciphertext has its own randomness";
}

TEST_P(CiphertextFile, SizesAreThoseThatTheCostModelCounts) {
  const std::uint64_t each = (GetParam() == Kind::input ? 1 : 2) * kLimbs * 128 * 6;
  EXPECT_EQ(ciphertext_bytes(GetParam(), 128, 48, kLimbs), each);
  EXPECT_EQ(wire::FileReader(path, GetParam()).section_bytes(5), each);
}

TEST_P(CiphertextFile, WhatThePlanExpects) {
  const CiphertextReader file(path, GetParam());
  const auto expect = [&](const std::string& plan, std::uint64_t batch, std::uint64_t per_batch, int limbs,
                          double scale, const ring::Ring& r) {
    return [&, batch, per_batch, limbs, scale] { file.expect(plan, batch, per_batch, limbs, scale, r); };
  };
  EXPECT_NO_THROW(expect(info.plan_id, 8, 3, kLimbs, info.scale, *ring)());
  const std::string other(32, 'c');
  EXPECT_TRUE(test::fails_with(expect(other, 8, 3, kLimbs, info.scale, *ring), ErrorCode::wrong_key,
                               {path.string(), "another plan"}));
  EXPECT_TRUE(refuses(expect(info.plan_id, 9, 3, kLimbs, info.scale, *ring), {path.string()}));
  EXPECT_TRUE(refuses(expect(info.plan_id, 8, 2, kLimbs, info.scale, *ring)));
  EXPECT_TRUE(refuses(expect(info.plan_id, 8, 3, 1, info.scale, *ring)));
  EXPECT_TRUE(refuses(expect(info.plan_id, 8, 3, kLimbs, info.scale * 1.001, *ring)));
  ParametersSpec larger = spec;
  ++larger.log_n;
  EXPECT_TRUE(refuses(
      expect(info.plan_id, 8, 3, kLimbs, info.scale, *ToyParameters::make(larger).make_ring(simd::select_kernels()))));
}

TEST_P(CiphertextFile, ResiduesBeyondTheirPrimes) {
  const std::size_t limbs = GetParam() == Kind::input ? kLimbs : 2 * kLimbs, n = ring->n();
  for (std::size_t l = 0; l < limbs; ++l)
    for (const std::size_t word : {std::size_t{0}, n / 2, n - 1}) {
      test::Contents contents(path, GetParam());
      const std::uint64_t q = ring->prime(l % kLimbs);
      std::memcpy(contents.sections[4].data() + (l * n + word) * 6, &q, 6);
      contents.write(folder / "forged", GetParam());
      const CiphertextReader file(folder / "forged", GetParam());
      EXPECT_TRUE(refuses([&] { (void)file.read(*ring, 4); }, {"forged", "out of range"})) << l << " " << word;
      EXPECT_NO_THROW((void)file.read(*ring, 3));
    }
}

TEST_P(CiphertextFile, DamageIsFoundWhenItIsRead) {
  test::Bytes bytes = test::read_bytes(path);
  bytes[bytes.size() - 40] ^= 1;
  test::write_bytes(path, bytes);
  const CiphertextReader file(path, GetParam());
  EXPECT_NO_THROW((void)file.read(*ring, 4));
  EXPECT_TRUE(refuses([&] { (void)file.read(*ring, 5); }, {path.string(), "corrupted"}));
}

TEST_P(CiphertextFile, CountsThatDoNotFit) {
  using test::Contents;
  EXPECT_TRUE(forged_refused([](Contents& c) { c.sections.pop_back(); }, {"forged", "announces"}));
  EXPECT_TRUE(forged_refused([](Contents& c) { c.sections.push_back(c.sections[0]); }, {"announces"}));
  EXPECT_TRUE(forged_refused([](Contents& c) { c.header["images"] = 17; }, {"announces"}));
  EXPECT_TRUE(forged_refused([](Contents& c) { c.header["images"] = 8; }, {"announces"}));
  EXPECT_TRUE(forged_refused([](Contents& c) { c.header["batch"] = 5; }, {"announces"}));
  EXPECT_TRUE(forged_refused([](Contents& c) { c.header["per_batch"] = 4; }, {"announces"}));
}

TEST_P(CiphertextFile, EveryMemberOfTheHeaderIsChecked) {
  std::vector<std::string> members = {"plan_id", "key_id",    "input_id", "images",
                                      "batch",   "per_batch", "limbs",    "scale"};
  if (GetParam() == Kind::input) members.emplace_back("seed");
  for (const auto& m : members) {
    EXPECT_TRUE(forged_refused([&](test::Contents& c) { c.header.erase(m); }, {"forged", m}));
    for (const nlohmann::json& value : {nlohmann::json(), nlohmann::json(-1), nlohmann::json(std::string(65, '0')),
                                        nlohmann::json::array(), nlohmann::json(UINT64_MAX)}) {
      if (m == "scale" && value.is_number_unsigned()) continue;  // a large scale is a scale
      if (m == "seed" && value.is_null()) continue;              // as of an input under a public key
      EXPECT_TRUE(forged_refused([&](test::Contents& c) { c.header[m] = value; }, {"forged", m}))
          << m << " = " << value;
    }
  }
  for (const double scale : {0.0, -0x1p30})
    EXPECT_TRUE(forged_refused([&](test::Contents& c) { c.header["scale"] = scale; }, {"scale"}));
}

// Inputs under a public key: both polynomials of every ciphertext, and no seed.
TEST_P(CiphertextFile, InputsWithoutASeed) {
  if (GetParam() != Kind::input) return;
  CiphertextFileInfo unseeded = info;
  unseeded.seed.reset();
  CiphertextWriter writer(folder / "public", Kind::input, *ring, unseeded);
  for (const Ciphertext& c : written) writer.write(c);
  writer.commit();
  const CiphertextReader file(folder / "public", Kind::input);
  EXPECT_FALSE(file.info().seed);
  EXPECT_EQ(wire::FileReader(folder / "public", Kind::input).section_bytes(5), 2 * kLimbs * 128 * 6);
  EXPECT_NO_THROW(file.expect(info.plan_id, 8, 3, kLimbs, info.scale, *ring));
  for (std::uint64_t k = 0; k < 6; ++k) {
    const Ciphertext c = file.read(*ring, k);
    EXPECT_TRUE(same(c.c0, written[k].c0)) << k;
    EXPECT_TRUE(same(c.c1, written[k].c1)) << k;
  }
  // Each form pretending to be the other has the wrong sizes.
  for (const bool seeded : {false, true}) {
    test::Contents contents(seeded ? path : folder / "public", Kind::input);
    contents.header["seed"] = seeded ? nlohmann::json() : nlohmann::json(std::string(64, '0'));
    contents.write(folder / "forged", Kind::input);
    const CiphertextReader forged(folder / "forged", Kind::input);
    EXPECT_TRUE(refuses([&] { forged.expect(info.plan_id, 8, 3, kLimbs, info.scale, *ring); }, {"forged", "shape"}));
  }
}

TEST_P(CiphertextFile, CountsWhoseProductOverflows) {
  // 2^40 batches of 2^24 ciphertexts are 2^64: no section at all must not pass for them.
  EXPECT_TRUE(forged_refused([](test::Contents& c) {
    c.sections.clear();
    c.header["images"] = std::int64_t{1} << 40;
    c.header["batch"] = 1;
    c.header["per_batch"] = 1 << 24;
  }));
}

INSTANTIATE_TEST_SUITE_P(Kinds, CiphertextFile, ::testing::Values(Kind::input, Kind::output),
                         [](const auto& kind) { return kind.param == Kind::input ? "input" : "output"; });

}  // namespace
}  // namespace sotto::ckks
