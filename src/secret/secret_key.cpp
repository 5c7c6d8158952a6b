#include "secret/secret_key.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ckks/security.h"
#include "encrypt/small.h"

namespace sotto::secret {

OwnerKey OwnerKey::generate() {
  check(sodium_init() >= 0, "libsodium does not start");
  OwnerKey key;
  randombytes_buf(key.bytes_.data(), kBytes);
  key.identify();
  return key;
}

OwnerKey::OwnerKey(const SecretArray<unsigned char>& bytes) : OwnerKey() {
  check(sodium_init() >= 0, "libsodium does not start");
  check(bytes.size() == kBytes, "an owner's key has 32 bytes");
  std::memcpy(bytes_.data(), bytes.data(), kBytes);
  identify();
}

void OwnerKey::identify() { id_ = signing::identity_of(signing_key().verification_key()); }

signing::SigningKey OwnerKey::signing_key() const {
  static const unsigned char domain[] = "Sotto owner's signing key";
  SecretArray<unsigned char> seed(signing::SigningKey::kSeedBytes);
  crypto_generichash(seed.data(), seed.size(), domain, sizeof domain, bytes_.data(), kBytes);
  return signing::SigningKey(seed);
}

SecretArray<unsigned char> OwnerKey::derive(std::string_view purpose, std::string_view what) const {
  check(purpose.size() <= 16, "a purpose of many words");
  std::array<unsigned char, 32> label{};  // of a fixed length, so that no two pairs of texts are the same
  std::ranges::copy(std::string_view("Sotto derived "), label.begin());
  std::ranges::copy(purpose, label.begin() + 16);
  SecretArray<unsigned char> out(kBytes);
  crypto_generichash_state state;
  crypto_generichash_init(&state, bytes_.data(), kBytes, kBytes);
  crypto_generichash_update(&state, label.data(), label.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(what.data()), what.size());
  crypto_generichash_final(&state, out.data(), kBytes);
  sodium_memzero(&state, sizeof state);
  return out;
}

SecretKey OwnerKey::secret_of(std::shared_ptr<const ring::Ring> ring, ckks::SecurityLevel level) const {
  struct {
    char domain[16] = "Sotto ring key";
    std::uint64_t dimension, cyclotomic_order;
  } label;
  label.domain[15] = static_cast<char>(level);
  label.dimension = ring->n();
  label.cyclotomic_order = ring->cyclotomic_order();
  SecretArray<unsigned char> seed(kBytes);
  crypto_generichash(seed.data(), kBytes, reinterpret_cast<const unsigned char*>(&label), sizeof label, bytes_.data(),
                     kBytes);
  return {std::move(ring), seed, id_};
}

SecretKey::SecretKey(std::shared_ptr<const ring::Ring> ring, const SecretArray<unsigned char>& seed, std::string id)
    : ring_(std::move(ring)), coefficients_(ring_->n()), id_(std::move(id)) {
  unsigned char nonce[crypto_stream_xchacha20_NONCEBYTES] = "Sotto secret";
  constexpr std::size_t chunk = 4096;
  SecretArray<unsigned char> stream(chunk);
  for (std::size_t filled = 0, block = 0; filled < ring_->n(); ++block) {
    sodium_memzero(stream.data(), chunk);
    crypto_stream_xchacha20_xor_ic(stream.data(), stream.data(), chunk, nonce, block * (chunk / 64), seed.data());
    filled += encrypt::bytes_to_ternary(stream.data(), chunk, coefficients_.data() + filled, ring_->n() - filled);
  }
}

SecretKey SecretKey::generate(std::shared_ptr<const ring::Ring> ring) {
  return OwnerKey::generate().secret_of(std::move(ring));
}

SecretArray<std::uint64_t> SecretKey::values(std::size_t i) const {
  return encrypt::to_values(*ring_, coefficients_, i);
}

namespace {

// Draws a place and a sign, and returns 1; or 0, with nothing changed, if the place was drawn before. Every place is
// looked at, so that no address depends on the one that was drawn.
[[gnu::noinline]] int draw_place(SecretArray<std::int8_t>& dst) {
  const auto places = static_cast<std::uint32_t>(dst.size());
  SecretArray<std::uint32_t> word(1);
  randombytes_buf(word.data(), sizeof(std::uint32_t));
  const std::uint32_t wanted = word[0] >> 1 & (places - 1);
  const auto mask = [&](std::uint32_t i) { return -static_cast<int>(i == wanted); };
  int taken = 0;
  for (std::uint32_t i = 0; i < places; ++i) taken |= dst[i] & mask(i);
  const int fresh = (taken & 1) - 1, value = 1 - 2 * static_cast<int>(word[0] & 1);  // 1 and -1 are odd
  for (std::uint32_t i = 0; i < places; ++i) dst[i] = static_cast<std::int8_t>(dst[i] | (value & fresh & mask(i)));
  return -fresh;
}

// The one branch: that a place was drawn before, and the draw is repeated, says nothing about any place. A function of
// its own, as tests/constant_time allows that branch by its name.
[[gnu::noinline]] void draw_places(SecretArray<std::int8_t>& dst) {
  for (int drawn = 0; drawn < ckks::kEphemeralWeight;) drawn += draw_place(dst);
}

}  // namespace

void sample_sparse(SecretArray<std::int8_t>& dst) {
  check(std::has_single_bit(dst.size()) && dst.size() >= ckks::kEphemeralWeight, "a sparse secret does not fit");
  std::fill_n(dst.data(), dst.size(), std::int8_t{0});
  draw_places(dst);
}

}  // namespace sotto::secret
