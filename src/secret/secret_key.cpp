#include "secret/secret_key.h"

#include <sodium.h>

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

// kEphemeralWeight distinct places with signs, from a stream of its own: n is a power of two, so masked words are
// uniform places.
void draw_sparse(SecretArray<std::int8_t>& dst, const SecretArray<unsigned char>& seed) {
  unsigned char nonce[crypto_stream_xchacha20_NONCEBYTES] = "Sotto ephemeral secret";
  SecretArray<std::uint64_t> words(16 * ckks::kEphemeralWeight);
  std::fill_n(dst.data(), dst.size(), std::int8_t{0});
  auto* bytes = reinterpret_cast<unsigned char*>(words.data());
  crypto_stream_xchacha20(bytes, words.size() * sizeof(std::uint64_t), nonce, seed.data());
  int drawn = 0;
  for (std::size_t i = 0; i < words.size() && drawn < ckks::kEphemeralWeight; ++i) {
    std::int8_t& place = dst[static_cast<std::size_t>(words[i] >> 1) & (dst.size() - 1)];
    if (place != 0) continue;
    place = words[i] & 1 ? std::int8_t{1} : std::int8_t{-1};
    ++drawn;
  }
  check(drawn == ckks::kEphemeralWeight, "no ephemeral secret could be drawn");
}

}  // namespace

SecretKey::SecretKey(std::shared_ptr<const ring::Ring> ring, SecretArray<unsigned char> seed)
    : ring_(std::move(ring)), seed_(std::move(seed)), coefficients_(ring_->n()), ephemeral_(ring_->n()) {
  check(seed_.size() == kSeedBytes, "a secret seed has 32 bytes");
  unsigned char nonce[crypto_stream_xchacha20_NONCEBYTES] = "Sotto secret";
  constexpr std::size_t chunk = 4096;
  SecretArray<unsigned char> stream(chunk);
  for (std::size_t filled = 0, block = 0; filled < ring_->n(); ++block) {
    sodium_memzero(stream.data(), chunk);
    crypto_stream_xchacha20_xor_ic(stream.data(), stream.data(), chunk, nonce, block * (chunk / 64), seed_.data());
    filled += bytes_to_ternary(stream.data(), chunk, coefficients_.data() + filled, ring_->n() - filled);
  }
  draw_sparse(ephemeral_, seed_);
  unsigned char hash[16];
  static const unsigned char domain[] = "Sotto key identity";
  crypto_generichash(hash, sizeof hash, domain, sizeof domain, seed_.data(), seed_.size());
  char hex[2 * sizeof hash + 1];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  id_ = hex;
}

SecretKey SecretKey::generate(std::shared_ptr<const ring::Ring> ring) {
  check(sodium_init() >= 0, "libsodium does not start");
  SecretArray<unsigned char> seed(kSeedBytes);
  randombytes_buf(seed.data(), seed.size());
  return {std::move(ring), std::move(seed)};
}

SecretKey SecretKey::from_seed(std::shared_ptr<const ring::Ring> ring, const SecretArray<unsigned char>& seed) {
  check(sodium_init() >= 0, "libsodium does not start");
  SecretArray<unsigned char> copy(seed.size());
  std::memcpy(copy.data(), seed.data(), seed.size());
  return {std::move(ring), std::move(copy)};
}

SecretArray<std::uint64_t> SecretKey::values(std::size_t i) const { return to_values(*ring_, coefficients_, i); }

SecretArray<std::uint64_t> SecretKey::ephemeral_values(std::size_t i) const { return to_values(*ring_, ephemeral_, i); }

void sample_ternary(SecretArray<std::int8_t>& dst) {
  SecretArray<unsigned char> bytes(4096);
  for (std::size_t filled = 0; filled < dst.size();) {
    randombytes_buf(bytes.data(), bytes.size());
    filled += bytes_to_ternary(bytes.data(), bytes.size(), dst.data() + filled, dst.size() - filled);
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
