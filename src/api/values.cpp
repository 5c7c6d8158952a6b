#include "api/values.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace sotto::api {

namespace {

constexpr double kLargest = 1e6;  // magnitude of a preprocessed value, far beyond those of any network

[[noreturn]] void bad(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

template <class T>
double number(const void* data, std::size_t i) {
  return static_cast<double>(static_cast<const T*>(data)[i]);
}

}  // namespace

void require_inference(const plan::ClientSpec& spec) {
  if (spec.training)
    throw Error(ErrorCode::usage, spec.network + " is to be trained with this plan: it takes a client for training");
}

std::vector<std::vector<double>> values_of(const ImagesView& images, const plan::Interface& io, std::size_t stride) {
  const auto c = static_cast<std::size_t>(io.channels), h = static_cast<std::size_t>(io.height),
             w = static_cast<std::size_t>(io.width);
  if (images.channels() != c || images.height() != h || images.width() != w)
    bad(fmt::format("images of {}x{}x{} (channels, rows, columns); the network takes {}x{}x{}", images.channels(),
                    images.height(), images.width(), c, h, w));
  if (images.size() == 0) bad("there are no images");
  if (images.count() == 0) bad(fmt::format("{} numbers are no whole images of {}x{}x{}", images.size(), c, h, w));
  const std::size_t each = c * h * w;
  std::vector<std::vector<double>> all;
  for (std::size_t k = 0; k < images.count(); k += stride) {
    std::vector<double>& values = all.emplace_back(each);
    for (std::size_t i = 0; i < each; ++i) {
      const std::size_t at = k * each + i;
      switch (images.type()) {
        case ImagesView::Type::bytes:
          values[i] = (number<std::uint8_t>(images.data(), at) / 255 - io.mean[i / (h * w)]) / io.std[i / (h * w)];
          break;
        case ImagesView::Type::float32:
          values[i] = number<float>(images.data(), at);
          break;
        case ImagesView::Type::float64:
          values[i] = number<double>(images.data(), at);
          break;
      }
      if (!(std::abs(values[i]) <= kLargest))
        bad(fmt::format("image {} holds {:g}, which is no preprocessed pixel", k, values[i]));
    }
  }
  return all;
}

}  // namespace sotto::api
