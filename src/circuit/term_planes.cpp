#include "circuit/term_planes.h"

#include <utility>

#include "simd/planes.h"

namespace sotto::circuit {

namespace {

constexpr std::size_t kLeastPlane = 16;  // pixels; smaller ones gain nothing

// result += the term of values, or its transpose.
void add(const Term& term, const Shape& in, const Shape& out, bool transposed, const std::vector<double>& values,
         std::vector<double>& result) {
  const simd::Taps rows = simd::touching(term.kernel_h, term.dilation_h, term.pad_top, out.height, in.height),
                   columns = simd::touching(term.kernel_w, term.dilation_w, term.pad_left, out.width, in.width);
  if (rows.count == 0 || columns.count == 0) return;
  const auto dy = [&](int ky) { return ky * term.dilation_h - term.pad_top; };
  const auto dx = [&](int kx) { return kx * term.dilation_w - term.pad_left; };
  const int last_y = rows.first + rows.count - 1, last_x = columns.first + columns.count - 1,
            sign = transposed ? -1 : 1;
  const Shape &from = transposed ? out : in, &to = transposed ? in : out;
  const simd::Offsets offsets = transposed
                                    ? simd::Offsets{-dy(last_y), -dy(rows.first), -dx(last_x), -dx(columns.first)}
                                    : simd::Offsets{dy(rows.first), dy(last_y), dx(columns.first), dx(last_x)};
  const simd::Planes planes(values, from.height, from.width, to.height, to.width, offsets);
  struct Sum {
    std::vector<const double*> planes;
    std::vector<double> weights;
  };
  std::vector<Sum> sums(static_cast<std::size_t>(to.channels));
  for_each_pair(term, in, out, [&](int o, int i, const double* weights) {
    const auto [target, source] = transposed ? std::pair(i, o) : std::pair(o, i);
    Sum& s = sums[static_cast<std::size_t>(target)];
    for (int ky = rows.first; ky <= last_y; ++ky)
      for (int kx = columns.first; kx <= last_x; ++kx) {
        const double w = weights[term.even ? 0 : ky * term.kernel_w + kx];
        if (w == 0) continue;
        s.planes.push_back(planes.at(source, sign * dy(ky), sign * dx(kx)));
        s.weights.push_back(w);
      }
  });
  std::vector<double> scratch;
  for (std::size_t c = 0; c < sums.size(); ++c)
    if (!sums[c].weights.empty()) planes.add(result.data() + c * to.plane(), sums[c].planes, sums[c].weights, scratch);
}

}  // namespace

bool is_sum_of_planes(const Term& term, const Shape& in, const Shape& out) {
  return term.kind == Term::Kind::convolution && term.stride_h == 1 && term.stride_w == 1 && term.map.empty() &&
         in.plane() >= kLeastPlane && out.plane() >= kLeastPlane;
}

void add_planes(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& values,
                std::vector<double>& sum) {
  add(term, in, out, false, values, sum);
}

void add_planes_transposed(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& sum,
                           std::vector<double>& values) {
  add(term, in, out, true, sum, values);
}

}  // namespace sotto::circuit
