// Scalar helpers that the vector kernel sets share. Included inside an anonymous namespace of each set.

inline double centred(std::uint64_t x, std::uint64_t q) {
  return x > q / 2 ? static_cast<double>(x) - static_cast<double>(q) : static_cast<double>(x);
}

inline std::uint64_t mul_mod_word(std::uint64_t a, std::uint64_t b, std::uint64_t q) {
  __extension__ using u128 = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<u128>(a) * b % q);
}

// 64-byte aligned scratch words of one thread.
class AlignedWords {
 public:
  explicit AlignedWords(std::size_t size)
      : data_(static_cast<std::uint64_t*>(::operator new[](size * sizeof(std::uint64_t), std::align_val_t{64}))) {}
  AlignedWords(const AlignedWords&) = delete;
  AlignedWords& operator=(const AlignedWords&) = delete;
  ~AlignedWords() { ::operator delete[](data_, std::align_val_t{64}); }

  [[nodiscard]] std::uint64_t* data() { return data_; }

 private:
  std::uint64_t* data_;
};
