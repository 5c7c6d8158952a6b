#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "images/image_source.h"

namespace sotto::cli {

/// How images of other sizes, and arrays, become what a network takes.
struct ReadingOptions {
  images::Fit resize = images::Fit::exact;
  images::ArrayLayout layout = images::ArrayLayout::unstated;
  bool crop = false;

  [[nodiscard]] images::Fit fit() const { return crop ? images::Fit::middle : resize; }
};

/// Adds --resize, --crop and --layout. images: the option that names the images, without which they make no sense.
void add_reading_options(CLI::App& verb, ReadingOptions& o, CLI::Option* images);

/// Which images a verb reads, and how.
struct DataOptions {
  std::vector<std::string> data = {};
  std::size_t start = 0;
  std::optional<std::size_t> count = {};
  ReadingOptions reading = {};
};

/// Adds --data, --start, --count and the options of ReadingOptions.
void add_data_options(CLI::App& verb, DataOptions& o, bool required);

/// Loads the images, `count` of them if given, and tells the user what there is to know about them.
std::vector<images::Image> load_images(const DataOptions& o, const plan::Interface& io,
                                       std::optional<std::size_t> count, images::TrueLabels labels);

}  // namespace sotto::cli
