#pragma once

#include <functional>

namespace sotto::compiler {

/// The first of first, first / 2, first / 4, .. down to `least` for which agreement(error) is at least `wanted`; if
/// none is, the one with the most agreement.
double relu_error_reaching(double wanted, double first, double least, const std::function<double(double)>& agreement);

}  // namespace sotto::compiler
