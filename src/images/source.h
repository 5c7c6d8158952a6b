#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "images/image.h"
#include "images/load_options.h"
#include "plan/plan.h"

namespace sotto::images {

/// A stream of images out of one data set, array or list of pictures. Everything throws Error{bad_input}.
class Source {
 public:
  virtual ~Source() = default;

  /// What errors call it.
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// Passes over so many images.
  virtual void skip(std::size_t images) = 0;
  /// The next image, of the size that it has.
  virtual Image next() = 0;
  /// Checks what lies behind the last image that was read.
  virtual void finish() {}

  /// Classes of a data set whose classes are known, else 0; their names if the data set came with them.
  [[nodiscard]] virtual std::size_t classes() const { return 0; }
  [[nodiscard]] virtual std::vector<std::string> class_names() const { return {}; }
  /// What the user should know about the images read.
  [[nodiscard]] virtual std::vector<std::string> notes() const { return {}; }
};

/// Each refuses what cannot suit the network before it reads images.
std::unique_ptr<Source> open_cifar(const std::filesystem::path& dir, bool hundred, bool train);
std::unique_ptr<Source> open_mnist(const std::filesystem::path& dir, bool train, const plan::Interface& io,
                                   const LoadOptions& options);
std::unique_ptr<Source> open_array(const std::filesystem::path& path, const plan::Interface& io,
                                   const LoadOptions& options);
/// decoder: the program that decodes pictures, see PictureDecoder.
std::unique_ptr<Source> open_pictures(const std::vector<std::string>& sources, const plan::Interface& io,
                                      const LoadOptions& options, const std::filesystem::path& decoder = {});

/// "3x32x32".
std::string shape_text(std::size_t channels, std::size_t height, std::size_t width);

/// Whether the network takes images of this shape: its own, or for a flat network (height and width 1) as many values.
bool takes(const plan::Interface& io, std::size_t channels, std::size_t height, std::size_t width);

/// Throws Error{bad_input} with both shapes unless the network takes such images, or will when they are fitted. `what`:
/// the beginning of the sentence, "CIFAR images are".
void require_shape(const std::string& what, std::size_t channels, std::size_t height, std::size_t width,
                   const plan::Interface& io, const LoadOptions& options);

/// Most pixels of a picture that is to be scaled.
inline constexpr std::uint64_t kMostPixels = 64'000'000;

}  // namespace sotto::images
