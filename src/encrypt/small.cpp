#include "encrypt/small.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace sotto::encrypt {

namespace {

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

std::size_t bytes_to_ternary(const unsigned char* bytes, std::size_t count, std::int8_t* dst, std::size_t wanted) {
  std::size_t filled = 0;
  for (std::size_t i = 0; i < count && filled < wanted; ++i)
    if (bytes[i] < 255) dst[filled++] = static_cast<std::int8_t>(bytes[i] % 3 - 1);
  return filled;
}

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

}  // namespace sotto::encrypt
