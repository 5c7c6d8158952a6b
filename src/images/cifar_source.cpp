#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>

#include "images/byte_stream.h"
#include "images/pickle.h"
#include "images/refuse.h"
#include "images/source.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::uint64_t kMostPickle = std::uint64_t{1} << 30;

struct Variant {
  std::size_t classes;
  std::size_t label_bytes;  // of a binary record; the last one counts
  const char *binary_folder, *python_folder;
  std::vector<std::string> binary, python;  // files
  const char *binary_names, *python_names;  // files of the class names
  const char *labels_key, *names_key;
};

Variant variant(bool hundred, bool train) {
  if (hundred) {
    const std::string part = train ? "train" : "test";
    return {100,
            2,
            "cifar-100-binary",
            "cifar-100-python",
            {part + ".bin"},
            {part},
            "fine_label_names.txt",
            "meta",
            "fine_labels",
            "fine_label_names"};
  }
  Variant v{10,
            1,
            "cifar-10-batches-bin",
            "cifar-10-batches-py",
            {"test_batch.bin"},
            {"test_batch"},
            "batches.meta.txt",
            "batches.meta",
            "labels",
            "label_names"};
  if (train) {
    v.binary = v.python = {};
    for (const char number : std::string("12345")) {
      v.python.push_back(std::string("data_batch_") + number);
      v.binary.push_back(v.python.back() + ".bin");
    }
  }
  return v;
}

Image image_of(std::size_t number, int label, const unsigned char* pixels) {
  return {std::to_string(number), label, 3, 32, 32, std::vector<std::uint8_t>(pixels, pixels + kPixels)};
}

// What both kinds of files share: several files with a number of images each, opened one after the other.
class CifarSource : public Source {
 public:
  CifarSource(fs::path base, std::vector<std::string> files, const Variant& v)
      : base_(std::move(base)), files_(std::move(files)), variant_(v) {}

  [[nodiscard]] std::string name() const override { return base_.string(); }
  [[nodiscard]] std::size_t classes() const override { return variant_.classes; }
  [[nodiscard]] std::size_t size() const override { return size_; }

 protected:
  [[nodiscard]] fs::path path(std::size_t file) const { return base_ / files_[file]; }

  fs::path base_;
  std::vector<std::string> files_;
  Variant variant_;
  std::size_t size_ = 0, next_ = 0;
};

class BinarySource : public CifarSource {
 public:
  BinarySource(const fs::path& base, const Variant& v)
      : CifarSource(base, v.binary, v), record_(v.label_bytes + kPixels) {
    for (std::size_t f = 0; f < files_.size(); ++f) {
      open_.push_back(std::make_unique<InputFile>(path(f)));
      if (open_.back()->bytes() % record_ != 0)
        throw Error(ErrorCode::bad_input, path(f).string() +
                                              " is truncated or not a CIFAR binary file: its size is no multiple of " +
                                              std::to_string(record_));
      size_ += open_.back()->bytes() / record_;
    }
  }

  void skip(std::size_t images) override { next_ += images; }
  Image next() override {
    std::size_t f = 0, at = next_;
    for (; at >= open_[f]->bytes() / record_; ++f) at -= open_[f]->bytes() / record_;
    std::vector<unsigned char> bytes(record_);
    if (open_[f]->read_at(at * record_, bytes) != record_) refuse(open_[f]->name(), "it is truncated");
    return image_of(next_++, bytes[variant_.label_bytes - 1], bytes.data() + variant_.label_bytes);
  }
  [[nodiscard]] std::vector<std::string> class_names() const override {
    std::ifstream file(base_ / variant_.binary_names);
    std::vector<std::string> names;
    for (std::string line; names.size() <= variant_.classes && std::getline(file, line);) {
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
      if (!line.empty()) names.push_back(line.substr(0, 100));
    }
    return names;
  }

 private:
  std::size_t record_;
  std::vector<std::unique_ptr<InputFile>> open_;
};

class PythonSource : public CifarSource {
 public:
  PythonSource(const fs::path& base, const Variant& v) : CifarSource(base, v.python, v) {
    for (std::size_t f = 0; f < files_.size(); ++f) {
      parse(f);
      sizes_.push_back(labels_.size());
      size_ += labels_.size();
    }
  }

  void skip(std::size_t images) override { next_ += images; }
  Image next() override {
    std::size_t f = 0, at = next_;
    for (; at >= sizes_[f]; ++f) at -= sizes_[f];
    if (f != parsed_) parse(f);
    return image_of(next_++, static_cast<int>(labels_[at]),
                    reinterpret_cast<const unsigned char*>(data_.data()) + at * kPixels);
  }
  [[nodiscard]] std::vector<std::string> class_names() const override {
    const fs::path file = base_ / variant_.python_names;
    std::error_code none;
    if (!fs::exists(file, none)) return {};
    const auto bytes = read_file(file, kMostPickle);
    const auto batch = parsed(file, bytes);
    const auto found = batch.texts.find(variant_.names_key);
    if (found == batch.texts.end()) return {};
    return {found->second.begin(), found->second.end()};
  }

 private:
  static PickledBatch parsed(const fs::path& file, const std::vector<unsigned char>& bytes) {
    try {
      return parse_pickle(bytes);
    } catch (const Error& e) {
      refuse(file.string(), e.what(), e.setting());
    }
  }

  // Holds one file at a time.
  void parse(std::size_t f) {
    bytes_ = read_file(path(f), kMostPickle);
    const PickledBatch batch = parsed(path(f), bytes_);
    const auto labels = batch.numbers.find(variant_.labels_key);
    const auto data = batch.arrays.find("data");
    if (labels == batch.numbers.end() || data == batch.arrays.end())
      refuse(path(f).string(), fmt::format("it has no '{}' and 'data' as CIFAR's files have", variant_.labels_key));
    labels_ = labels->second;
    data_ = data->second.bytes;
    if (data->second.shape != std::vector<std::uint64_t>{labels_.size(), kPixels} ||
        data_.size() != labels_.size() * kPixels)
      refuse(path(f).string(), "its images and labels do not belong together");
    for (const std::int64_t label : labels_)
      if (label < 0 || label > 255) refuse(path(f).string(), "a label of it is out of range");
    parsed_ = f;
  }

  std::vector<std::size_t> sizes_;
  std::size_t parsed_ = 0;
  std::vector<unsigned char> bytes_;
  std::vector<std::int64_t> labels_;
  std::string_view data_;
};

}  // namespace

std::unique_ptr<Source> open_cifar(const fs::path& dir, bool hundred, bool train) {
  const Variant v = variant(hundred, train);
  std::error_code none;
  const auto holder = [&](const char* folder, const std::string& file) -> std::optional<fs::path> {
    for (const fs::path& base : {dir / folder, dir})
      if (fs::exists(base / file, none)) return base;
    return {};
  };
  if (const auto base = holder(v.binary_folder, v.binary.front())) return std::make_unique<BinarySource>(*base, v);
  if (const auto base = holder(v.python_folder, v.python.front())) return std::make_unique<PythonSource>(*base, v);
  if (const auto status = fs::status(dir, none); !fs::exists(status) && none)
    throw Error(ErrorCode::bad_input, "cannot read " + dir.string() + ": " + none.message());
  throw Error(ErrorCode::bad_input,
              fmt::format("no CIFAR files in {}: neither {} nor {} (Python) is there or in {} or {}", dir.string(),
                          v.binary.front(), v.python.front(), v.binary_folder, v.python_folder));
}

}  // namespace sotto::images
