#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "lowering/lowering.h"
#include "lowering/masks.h"

namespace sotto::lowering {

using program::Factor;
using program::Pattern;
using program::Products;

// A pattern of ones at the first position of every image's tile.
Pattern Lowering::present(int groups_before) const {
  const int left = std::min(a_.batch - groups_before * a_.images_per_group(), a_.images_per_group());
  if (left == a_.images_per_group()) {
    Pattern p(static_cast<std::size_t>(a_.positions()));
    p[0] = 1;
    return p;
  }
  Pattern p(static_cast<std::size_t>(a_.slots()));
  for (int b = 0; b < left; ++b) p[static_cast<std::size_t>(b * a_.positions())] = 1;
  return p;
}

// The longest period of these patterns: all groups keep one scale.
std::size_t Lowering::present_period() const { return present(a_.groups() - 1).size(); }

double Lowering::largest_scale(const std::vector<int>& values) const {
  double most = 0;
  for (int v : values) most = std::max(most, std::abs(builder_.value(v).scale));
  return most;
}

// Direction 1: the sum of a tile, at its first position (others have parts of the next one, too). -1: what the first
// position holds goes to all, if others hold zeros.
int Lowering::over_tile(int value, int direction) {
  std::vector<std::int64_t> near, far;
  for (int k = 1; k < a_.tile; ++k) {
    near.push_back(std::int64_t{direction} * k);
    far.push_back(std::int64_t{direction} * k * a_.tile);
  }
  return builder_.rotate_sum(builder_.rotate_sum(value, near), far);
}

// Sums over channels and tiles; what lies at the first position of a tile then goes to all of them.
void Lowering::contract(const Op& op) {
  const int map = op.inputs[0], matrix = op.inputs[1];
  const Layout& in = layout(map);
  const int each = in.ciphertexts(), classes = step_.value(op.output).shape.channels;
  const int limbs = limbs_of(map);
  const Op* bias = next_bias(op);
  Held result;
  const std::vector<double>* weights = constant(matrix);
  const std::vector<double>* biases = bias == nullptr ? nullptr : constant(bias->inputs[1]);
  for (int g = 0; g < a_.groups(); ++g) {
    const Pattern first = present(g);
    const int pattern = builder_.pattern(first);
    const auto begin = held(map).ids.begin() + g * each;
    std::vector<int> sums;
    if (weights != nullptr) {
      const std::vector<int> sources(begin, begin + each);
      sums = builder_.mix(sources, matrix_factors(matrix, in, false),
                          largest_scale(sources) * weight_scale(*weights, static_cast<std::size_t>(a_.positions())));
    } else {
      for (int k = 0; k < classes; ++k) {
        Products products;
        for (int c = 0; c < each; ++c) products.emplace_back(begin[c], leaf(matrix, k * each + c, limbs));
        sums.push_back(builder_.multiply(products));
      }
    }
    for (int k = 0; k < classes; ++k) {
      int sum = over_tile(sums[static_cast<std::size_t>(k)], 1);
      std::vector<int> sources{sum}, constants;
      std::vector<Factor> factors{{pattern, -1}};
      if (biases != nullptr) {
        Pattern b = first;
        for (double& x : b) x *= (*biases)[static_cast<std::size_t>(k)];
        constants = {builder_.pattern(std::move(b))};
      } else if (bias != nullptr) {
        sources.push_back(leaf(bias->inputs[1], k, builder_.value(sum).limbs));
        factors.push_back({pattern, -1});
      }
      sum = builder_.mix(sources, {factors}, largest_scale(sources) * mask_scale(present_period()), 0, -1, constants)
                .front();
      result.ids.push_back(over_tile(sum, -1));
    }
  }
  held(bias == nullptr ? op.output : bias->output) = std::move(result);
  if (bias != nullptr) done_.insert(bias);
}

void Lowering::contract_transposed(const Op& op) {
  const int vector = op.inputs[0], matrix = op.inputs[1];
  const int each = layout(op.output).ciphertexts(), classes = step_.value(vector).shape.channels;
  const int limbs = limbs_of(vector);
  const std::vector<double>* weights = constant(matrix);
  Held result;
  result.margin = 0;  // as the weights there
  for (int g = 0; g < a_.groups(); ++g) {
    std::vector<int> made;
    if (weights != nullptr) {
      const auto begin = held(vector).ids.begin() + g * classes;
      const std::vector<int> sources(begin, begin + classes);
      made = builder_.mix(sources, matrix_factors(matrix, layout(op.output), true),
                          largest_scale(sources) * weight_scale(*weights, static_cast<std::size_t>(a_.positions())));
    }
    for (int c = 0; c < each; ++c) {
      if (weights != nullptr) {
        const int sum = made[static_cast<std::size_t>(c)];
        result.ids.push_back(step_.value(op.output).space == Space::map ? sum : over_tile(sum, -1));
        continue;
      }
      Products products;
      for (int k = 0; k < classes; ++k)
        products.emplace_back(held(vector).ids[static_cast<std::size_t>(g * classes + k)],
                              leaf(matrix, k * each + c, limbs));
      const int sum = builder_.multiply(products);
      // A vector's weights lie at the first position, its numbers at all.
      result.ids.push_back(step_.value(op.output).space == Space::map ? sum : over_tile(sum, -1));
    }
  }
  held(op.output) = std::move(result);
}

void Lowering::contract_weights(const Op& op) {
  const int map = op.inputs[0], vector = op.inputs[1];
  const int each = layout(map).ciphertexts(), classes = step_.value(vector).shape.channels;
  const std::optional<std::size_t> parameter = gradient_of(op.output);
  check(parameter.has_value(), "gradients of matrices are not added up");
  for (int k = 0; k < classes; ++k)
    for (int c = 0; c < each; ++c) {
      Products products;
      for (int g = 0; g < a_.groups(); ++g)
        products.emplace_back(held(map).ids[static_cast<std::size_t>(g * each + c)],
                              held(vector).ids[static_cast<std::size_t>(g * classes + k)]);
      gather_.add(*parameter, k * each + c, builder_.multiply(products));
    }
}

}  // namespace sotto::lowering
