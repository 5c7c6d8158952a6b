#include "circuit/term_planes.h"

#include "simd/planes.h"

namespace sotto::circuit {

namespace {

// The shifted planes that one plane is the sum of.
struct PlaneSum {
  std::vector<const double*> planes;
  std::vector<double> weights;
};

// Adds to every plane of `to` the sum that read(planes, output, input) leaves for it. sign: of the offsets.
template <class Add>
void add_sums(const Term& term, const Shape& from, const Shape& to, int sign, const std::vector<double>& values,
              std::vector<double>& result, Add add) {
  const int first_y = -term.pad_top, last_y = (term.kernel_h - 1) * term.dilation_h - term.pad_top;
  const int first_x = -term.pad_left, last_x = (term.kernel_w - 1) * term.dilation_w - term.pad_left;
  const simd::Offsets offsets =
      sign > 0 ? simd::Offsets{first_y, last_y, first_x, last_x} : simd::Offsets{-last_y, -first_y, -last_x, -first_x};
  const simd::Planes planes(values, from.height, from.width, to.height, to.width, offsets);
  std::vector<PlaneSum> sums(static_cast<std::size_t>(to.channels));
  add([&](int target, int source, const double* weights) {
    PlaneSum& s = sums[static_cast<std::size_t>(target)];
    for (int ky = 0; ky < term.kernel_h; ++ky)
      for (int kx = 0; kx < term.kernel_w; ++kx) {
        const double w = weights[term.even ? 0 : ky * term.kernel_w + kx];
        if (w == 0) continue;
        s.planes.push_back(planes.at(source, sign * (ky * term.dilation_h - term.pad_top),
                                     sign * (kx * term.dilation_w - term.pad_left)));
        s.weights.push_back(w);
      }
  });
  std::vector<double> scratch;
  for (std::size_t c = 0; c < sums.size(); ++c)
    if (!sums[c].weights.empty()) planes.add(result.data() + c * to.plane(), sums[c].planes, sums[c].weights, scratch);
}

}  // namespace

bool is_sum_of_planes(const Term& term) {
  return term.kind == Term::Kind::convolution && term.stride_h == 1 && term.stride_w == 1 && term.map.empty();
}

void add_planes(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& values,
                std::vector<double>& sum) {
  add_sums(term, in, out, 1, values, sum, [&](auto add) {
    for_each_pair(term, in, out, [&](int o, int i, const double* weights) { add(o, i, weights); });
  });
}

void add_planes_transposed(const Term& term, const Shape& in, const Shape& out, const std::vector<double>& sum,
                           std::vector<double>& values) {
  add_sums(term, out, in, -1, sum, values, [&](auto add) {
    for_each_pair(term, in, out, [&](int o, int i, const double* weights) { add(i, o, weights); });
  });
}

}  // namespace sotto::circuit
