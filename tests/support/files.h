#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace sotto::test {

using Bytes = std::vector<unsigned char>;

/// A fresh folder that is removed with all it holds.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sotto-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// Names of everything in it.
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) out.insert(entry.path().filename().string());
    return out;
  }

 private:
  std::filesystem::path path_;
};

inline Bytes read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string read_text(const std::filesystem::path& path) {
  const Bytes b = read_bytes(path);
  return {b.begin(), b.end()};
}

/// Replaces the file: overwriting it in place makes some file systems wait for the disk, thousands of times in a test.
inline void write_bytes(const std::filesystem::path& path, const Bytes& bytes) {
  std::error_code none;
  std::filesystem::remove(path, none);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  write_bytes(path, {text.begin(), text.end()});
}

inline Bytes random_bytes(std::size_t n, std::mt19937_64& rng) {
  Bytes b(n);
  for (auto& x : b) x = static_cast<unsigned char>(rng());
  return b;
}

/// One to four random edits: flipped bits, overwritten, removed, repeated or inserted stretches, a cut.
inline Bytes mutate(Bytes b, std::mt19937_64& rng) {
  for (std::size_t edits = 1 + rng() % 4; edits > 0; --edits) {
    const std::size_t at = b.empty() ? 0 : rng() % b.size(),
                      length = std::min<std::size_t>(1 + rng() % 16, b.size() - at);
    const auto first = b.begin() + static_cast<std::ptrdiff_t>(at), last = first + static_cast<std::ptrdiff_t>(length);
    const Bytes extra = random_bytes(1 + rng() % 16, rng), copy(first, last);
    switch (rng() % 7) {
      case 0:
      case 1:
        if (!b.empty()) b[at] ^= static_cast<unsigned char>(1u << rng() % 8);
        break;
      case 2:
        for (auto i = first; i != last; ++i) *i = static_cast<unsigned char>(rng() % 3 == 0 ? 0xff : rng());
        break;
      case 3:
        b.erase(first, last);
        break;
      case 4:
        b.insert(first, copy.begin(), copy.end());
        break;
      case 5:
        b.insert(first, extra.begin(), extra.end());
        break;
      default:
        if (rng() % 4 == 0) b.resize(at);
    }
  }
  return b;
}

}  // namespace sotto::test
