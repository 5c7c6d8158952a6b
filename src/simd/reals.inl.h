// Sums of real numbers. Included inside an anonymous namespace of each set.

// kVectors vectors from place `from` on: sums stay in registers over all terms.
template <class V, std::size_t kVectors>
inline void add_scaled_part(double* y, const double* const* x, const double* a, std::size_t terms, std::size_t from) {
  typename V::D sum[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) sum[v] = V::load_unaligned(y + from + V::kLanes * v);
  for (std::size_t t = 0; t < terms; ++t) {
    const auto factor = V::set1(a[t]);
    for (std::size_t v = 0; v < kVectors; ++v)
      sum[v] = V::add(sum[v], V::mul(factor, V::load_unaligned(x[t] + from + V::kLanes * v)));
  }
  for (std::size_t v = 0; v < kVectors; ++v) V::store_unaligned(y + from + V::kLanes * v, sum[v]);
}

template <class V>
void add_scaled(double* y, const double* const* x, const double* a, std::size_t terms, std::size_t n) {
  constexpr std::size_t kMany = 8, kFew = 2;  // vectors at a time
  std::size_t k = 0;
  for (; k + kMany * V::kLanes <= n; k += kMany * V::kLanes) add_scaled_part<V, kMany>(y, x, a, terms, k);
  for (; k + kFew * V::kLanes <= n; k += kFew * V::kLanes) add_scaled_part<V, kFew>(y, x, a, terms, k);
  for (; k < n; k += V::kLanes) {
    const std::size_t count = n - k < V::kLanes ? n - k : V::kLanes;
    auto sum = V::load_first(y + k, count);
    for (std::size_t t = 0; t < terms; ++t) sum = V::add(sum, V::mul(V::set1(a[t]), V::load_first(x[t] + k, count)));
    V::store_first(y + k, sum, count);
  }
}
