#pragma once

#include <functional>
#include <string>

#include "images/fit.h"

namespace sotto::images {

/// Order of the axes of arrays. `unstated` is read as nchw unless the shape speaks for nhwc.
enum class ArrayLayout { unstated, nchw, nhwc };

/// What to do about true labels that cannot be those of the network: of a data set with other classes, or beyond its
/// outputs.
enum class TrueLabels {
  unchecked,
  dropped,  ///< images get none, with a note
  checked,  ///< Error{bad_input}; images without any will do
  needed,   ///< Error{bad_input}
};

struct LoadOptions {
  Fit fit = Fit::exact;
  ArrayLayout layout = ArrayLayout::unstated;
  TrueLabels labels = TrueLabels::unchecked;
  std::function<void(const std::string&)> note = {};  ///< gets what the user should know, a line at a time
  std::function<void()> check_stop = {};  ///< called now and then, also in the middle of a picture; throws to end
};

}  // namespace sotto::images
