#pragma once

#include <vector>

#include "circuit/term.h"

namespace sotto::circuit {

/// Whether a term is a convolution with stride 1 and without factors by pixel: a sum of shifted planes, which is fast
/// for all but the smallest planes.
bool is_sum_of_planes(const Term& term, const Shape& in, const Shape& out);

/// sum += term(values), of such a term.
void add_planes(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& values,
                std::vector<double>& sum);

/// values += the term's transpose of sum.
void add_planes_transposed(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& sum,
                           std::vector<double>& values);

}  // namespace sotto::circuit
