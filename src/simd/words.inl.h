// Scalar helpers that the vector kernel sets share. Included inside an anonymous namespace of each set.

inline double centred(std::uint64_t x, std::uint64_t q) {
  return x > q / 2 ? static_cast<double>(x) - static_cast<double>(q) : static_cast<double>(x);
}

inline std::uint64_t mul_mod_word(std::uint64_t a, std::uint64_t b, std::uint64_t q) {
  __extension__ using u128 = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<u128>(a) * b % q);
}

template <class V>
void pack_words(unsigned char* dst, const std::uint64_t* src, std::size_t n) {
  for (std::size_t i = 0; i < n; i += V::kLanes) V::store_packed(dst + kPackedBytes * i, V::load_words(src + i));
}

template <class V>
void unpack_words(std::uint64_t* dst, const unsigned char* src, std::size_t n) {
  for (std::size_t i = 0; i < n; i += V::kLanes) V::store_words(dst + i, V::load_packed(src + kPackedBytes * i));
}

template <class V>
void residues(std::uint64_t* dst, const double* src, std::size_t n, const ModulusView& m) {
  const auto minus_q = V::set1(-m.qd), q = V::set1(m.qd), qinv = V::set1(m.qinv);
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const auto x = V::load_unaligned(src + i);
    // The quotient is below 2^33, so the remainder is exact and lies within q / 2, or a little beyond.
    V::to_words(dst + i, V::add_if_negative(V::fma(V::round(V::mul(x, qinv)), minus_q, x), q));
  }
}

// Calls f with the number of terms, 1 .. 8, as a compile-time constant.
template <class F>
inline void with_terms(std::size_t terms, F f) {
  using std::integral_constant;
  switch (terms) {
    case 1:
      return f(integral_constant<std::size_t, 1>{});
    case 2:
      return f(integral_constant<std::size_t, 2>{});
    case 3:
      return f(integral_constant<std::size_t, 3>{});
    case 4:
      return f(integral_constant<std::size_t, 4>{});
    case 5:
      return f(integral_constant<std::size_t, 5>{});
    case 6:
      return f(integral_constant<std::size_t, 6>{});
    case 7:
      return f(integral_constant<std::size_t, 7>{});
    default:
      return f(integral_constant<std::size_t, 8>{});
  }
}

// 64-byte aligned scratch words of one thread.
class AlignedWords {
 public:
  explicit AlignedWords(std::size_t size) { grow(size); }
  AlignedWords(const AlignedWords&) = delete;
  AlignedWords& operator=(const AlignedWords&) = delete;
  ~AlignedWords() { release(); }

  // At least `size` words; the contents are lost if there were fewer.
  void grow(std::size_t size) {
    if (size <= size_) return;
    release();
    size_ = 0;
    data_ = static_cast<std::uint64_t*>(::operator new[](size * sizeof(std::uint64_t), std::align_val_t{64}));
    size_ = size;
  }
  [[nodiscard]] std::uint64_t* data() { return data_; }

 private:
  void release() {
    ::operator delete[](data_, std::align_val_t{64});
    data_ = nullptr;
  }

  std::uint64_t* data_ = nullptr;
  std::size_t size_ = 0;
};
