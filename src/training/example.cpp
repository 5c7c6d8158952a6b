#include "training/example.h"

#include <fmt/format.h>

#include "base/error.h"

namespace sotto::training {

void check_example(const Step& step, const Example& example) {
  const auto classes = static_cast<int>(step.value(step.labels).size());
  if (example.image.size() != step.value(step.images).size())
    throw Error(ErrorCode::bad_input, "an image has another size than the network's input");
  if (example.label < 0 || example.label >= classes)
    throw Error(ErrorCode::bad_input, fmt::format("an image has the label {}; the network has the classes 0 to {}",
                                                  example.label, classes - 1));
}

}  // namespace sotto::training
