// The automorphism for processors with AVX2: one load, one in-register permutation and one store per group of four.

inline void automorphism(std::uint64_t* dst, const std::uint64_t* src, AutomorphismTable table, std::size_t n) {
  alignas(32) std::int32_t order[8][8];
  for (std::size_t code = 0; code < 8; ++code) {
    for (std::size_t r = 0; r < 4; ++r) {
      order[code][2 * r] = 2 * kGroupOrder[code][r];
      order[code][2 * r + 1] = 2 * kGroupOrder[code][r] + 1;
    }
  }
  for (std::size_t t = 0; t < n / 4; ++t) {
    const auto* group = reinterpret_cast<const __m256i*>(src + 4 * static_cast<std::size_t>(table[t] >> 3));
    const auto* index = reinterpret_cast<const __m256i*>(order[table[t] & 7]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(dst + 4 * t),
                       _mm256_permutevar8x32_epi32(_mm256_load_si256(group), _mm256_load_si256(index)));
  }
}
