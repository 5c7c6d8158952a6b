#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "images/byte_stream.h"
#include "images/channels.h"
#include "images/fit.h"
#include "images/picture_decoder.h"
#include "images/picture_list.h"
#include "images/refuse.h"
#include "images/source.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

// A name that is a number below `classes`; else -1.
int number_of(const std::string& name, int classes) {
  int number = -1;
  const char* end = name.data() + name.size();
  const auto read = std::from_chars(name.data(), end, number);
  return read.ec == std::errc() && read.ptr == end && number >= 0 && number < classes ? number : -1;
}

int label_of(const fs::path& path, const plan::Interface& io) {
  const std::vector<std::string>& classes = io.classes;
  if (classes.empty()) return number_of(path.parent_path().filename().string(), io.outputs);
  const std::string stem = path.stem().string();
  const std::string word = stem.substr(0, stem.find_first_of("-_0123456789"));
  for (const std::string& name : {path.parent_path().filename().string(), word})
    if (const auto it = std::find(classes.begin(), classes.end(), name); it != classes.end())
      return static_cast<int>(it - classes.begin());
  return -1;
}

class PictureSource : public Source {
 public:
  PictureSource(const std::vector<std::string>& sources, const plan::Interface& io, const LoadOptions& options,
                const fs::path& decoder)
      : name_(sources.size() == 1 ? sources.front() : "the list"),
        list_(list_pictures(sources)),
        io_(io),
        fit_(options.fit),
        decoder_(decoder, std::chrono::seconds(120), options.check_stop) {
    const bool flat = io.height == 1 && io.width == 1;
    if (flat && fit_ != Fit::exact)
      throw Error(ErrorCode::usage, "this network takes flat images, without height and width to resize or crop to");
    if (list_.entries.empty())
      throw Error(ErrorCode::bad_input, fmt::format("no images in {} (PNG and JPEG files are read{})", name_,
                                                    list_.skipped.empty() ? "" : "; there are only " + list_.skipped));
  }

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::size_t size() const override { return list_.entries.size(); }
  void skip(std::size_t images) override { next_ += images; }
  Image next() override {
    const auto& [path, name] = list_.entries[next_++];
    const auto bytes = read_file(path, decode::kMostFileBytes);
    try {
      Image image = decoder_.decode(bytes, [this](auto width, auto height) { require_size(width, height); });
      image = with_channels(std::move(image), channels_);
      image.name = name;
      image.label = label_of(path, io_);
      return image;
    } catch (const Error& e) {
      if (e.code() == ErrorCode::no_resources)
        throw Error(e.code(), "cannot decode " + path.string() + ": " + e.what(), e.setting());
      if (e.code() != ErrorCode::bad_input) throw;
      refuse(path.string(), e.what(), e.setting());
    }
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    std::vector<std::string> notes;
    if (!list_.skipped.empty())
      notes.push_back("skipped in " + name_ + ": " + list_.skipped + "; PNG and JPEG files are read");
    if (decoder_.weakly_confined())
      notes.emplace_back(
          "pictures were decoded by a process that could still make system calls, as this system allows no filter of "
          "them");
    return notes;
  }

 private:
  // Also decides how many channels the network gets of a picture of this size.
  void require_size(std::uint64_t width, std::uint64_t height) {
    const auto fail = [](const std::string& what, Setting setting = Setting::none) {
      throw Error(ErrorCode::bad_input, what, setting);
    };
    if (width > kMostPixels || height > kMostPixels || width * height > kMostPixels || width == 0 || height == 0)
      fail(
          fmt::format("it is {}x{} pixels; more than {} million are not read", width, height, kMostPixels / 1'000'000));
    channels_ = io_.channels;
    if (io_.height == 1 && io_.width == 1 && io_.channels > 3) {
      channels_ = takes(io_, 1, height, width) ? 1 : 3;
      if (!takes(io_, static_cast<std::size_t>(channels_), height, width))
        fail(fmt::format("it is {}x{} pixels, the network takes {} values", width, height, io_.channels));
      return;
    }
    if (io_.channels != 1 && io_.channels != 3)
      fail("pictures have 1 or 3 channels, the network takes " + std::to_string(io_.channels));
    const bool same =
        width == static_cast<std::uint64_t>(io_.width) && height == static_cast<std::uint64_t>(io_.height);
    if (!same && fit_ == Fit::exact)
      fail(fmt::format("it is {}x{} pixels, the network takes {}x{}; resize it first, or have it fitted", width, height,
                       io_.width, io_.height),
           Setting::fit);
  }

  std::string name_;
  PictureList list_;
  plan::Interface io_;
  Fit fit_;
  PictureDecoder decoder_;
  std::size_t next_ = 0;
  int channels_ = 0;
};

}  // namespace

std::unique_ptr<Source> open_pictures(const std::vector<std::string>& sources, const plan::Interface& io,
                                      const LoadOptions& options, const fs::path& decoder) {
  return std::make_unique<PictureSource>(sources, io, options, decoder);
}

}  // namespace sotto::images
