#include "secret/secret_key.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ckks/security.h"

namespace sotto::secret {

namespace {

// Turns uniform bytes into uniform ternary values by rejection: 255 = 3 * 85. Returns how many were written.
std::size_t bytes_to_ternary(const unsigned char* bytes, std::size_t count, std::int8_t* dst, std::size_t wanted) {
  std::size_t filled = 0;
  for (std::size_t i = 0; i < count && filled < wanted; ++i)
    if (bytes[i] < 255) dst[filled++] = static_cast<std::int8_t>(bytes[i] % 3 - 1);
  return filled;
}

// floor(2^64 * P(|x| < k + 1/2)) for k = 0 .. : the magnitude of a sample is the number of entries <= a uniform word.
std::vector<std::uint64_t> gaussian_table(double sigma) {
  std::vector<std::uint64_t> table;
  for (int k = 0; k < 64; ++k) {
    const long double p =
        std::erf((static_cast<long double>(k) + 0.5L) / (static_cast<long double>(sigma) * std::sqrt(2.0L)));
    const long double scaled = p * 18446744073709551616.0L;
    if (scaled >= 18446744073709551615.0L) break;
    table.push_back(static_cast<std::uint64_t>(scaled));
  }
  return table;
}

}  // namespace

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

void OwnerKey::identify() {
  unsigned char hash[16];
  static const unsigned char domain[] = "Sotto key identity";
  crypto_generichash(hash, sizeof hash, domain, sizeof domain, bytes_.data(), kBytes);
  char hex[2 * sizeof hash + 1];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  id_ = hex;
}

SecretKey OwnerKey::secret_of(std::shared_ptr<const ring::Ring> ring) const {
  struct {
    char domain[16] = "Sotto ring key";
    std::uint64_t dimension, cyclotomic_order;
  } label;
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
    filled += bytes_to_ternary(stream.data(), chunk, coefficients_.data() + filled, ring_->n() - filled);
  }
}

SecretKey SecretKey::generate(std::shared_ptr<const ring::Ring> ring) {
  return OwnerKey::generate().secret_of(std::move(ring));
}

SecretArray<std::uint64_t> SecretKey::values(std::size_t i) const { return to_values(*ring_, coefficients_, i); }

void sample_ternary(SecretArray<std::int8_t>& dst) {
  SecretArray<unsigned char> bytes(4096);
  for (std::size_t filled = 0; filled < dst.size();) {
    randombytes_buf(bytes.data(), bytes.size());
    filled += bytes_to_ternary(bytes.data(), bytes.size(), dst.data() + filled, dst.size() - filled);
  }
}

void sample_sparse(SecretArray<std::int8_t>& dst) {
  const auto places = static_cast<std::uint32_t>(dst.size());
  check(std::has_single_bit(places) && places >= ckks::kEphemeralWeight, "a sparse secret does not fit");
  std::fill_n(dst.data(), dst.size(), std::int8_t{0});
  for (int drawn = 0; drawn < ckks::kEphemeralWeight;) {
    SecretArray<std::uint32_t> word(1);
    randombytes_buf(word.data(), sizeof(std::uint32_t));
    std::int8_t& place = dst[word[0] >> 1 & (places - 1)];
    if (place != 0) continue;
    place = word[0] & 1 ? std::int8_t{1} : std::int8_t{-1};
    ++drawn;
  }
}

void sample_error(SecretArray<std::int8_t>& dst) {
  static const std::vector<std::uint64_t> table = gaussian_table(3.19);
  constexpr std::size_t chunk = 1024;
  SecretArray<std::uint64_t> words(chunk);
  SecretArray<unsigned char> signs(chunk);
  for (std::size_t at = 0; at < dst.size(); at += chunk) {
    const std::size_t count = std::min(chunk, dst.size() - at);
    randombytes_buf(words.data(), words.size() * sizeof(std::uint64_t));
    randombytes_buf(signs.data(), signs.size());
    for (std::size_t i = 0; i < count; ++i) {
      int magnitude = 0;
      for (std::uint64_t bound : table) magnitude += words[i] >= bound;
      const int sign = 1 - 2 * (signs[i] & 1);
      dst[at + i] = static_cast<std::int8_t>(sign * magnitude);
    }
  }
}

SecretArray<std::uint64_t> to_values(const ring::Ring& ring, const SecretArray<std::int8_t>& coefficients,
                                     std::size_t i) {
  SecretArray<std::uint64_t> out(ring.n());
  const std::uint64_t q = ring.prime(i);
  for (std::size_t k = 0; k < ring.n(); ++k) {
    const std::int64_t v = coefficients[k];  // NOLINT(bugprone-signed-char-misuse): a small integer
    out[k] = static_cast<std::uint64_t>(v + (v >> 63 & static_cast<std::int64_t>(q)));
  }
  ring.ntt(out.data(), i);
  return out;
}

}  // namespace sotto::secret
