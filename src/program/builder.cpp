#include "program/builder.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "base/error.h"

namespace sotto::program {

using Kind = Instruction::Kind;

namespace {

constexpr double kExact = 0x1p-20;  // what scales may differ by, and multiples from integers

}  // namespace

int Builder::make(int limbs, double scale) {
  program_.values.push_back({limbs, scale});
  return static_cast<int>(program_.values.size()) - 1;
}

int Builder::input(int limbs, double scale) {
  const int v = make(limbs, scale);
  program_.inputs.push_back(v);
  return v;
}

int Builder::pattern(Pattern pattern) {
  const auto [at, inserted] = patterns_.try_emplace(pattern, static_cast<int>(program_.patterns.size()));
  if (inserted) program_.patterns.push_back(std::move(pattern));
  return at->second;
}

int Builder::common_limbs(std::span<const int> values) const {
  int limbs = INT_MAX;
  for (int v : values) limbs = std::min(limbs, value(v).limbs);
  return limbs;
}

double Builder::rescaled(int limbs, double scale, int rescales) const {
  for (int k = 0; k < rescales; ++k) scale /= static_cast<double>(primes_[static_cast<std::size_t>(limbs - 1 - k)]);
  return scale;
}

int Builder::rescales(int limbs, double scale) {
  int count = 0;
  while (limbs - count > 1 && std::abs(rescaled(limbs, scale, count + 1)) >= least_scale_) ++count;
  if (limbs - count >= floor_) return count;
  fits_ = false;
  return 0;
}

// Runs multiply by the nearest integers: what lies between them would be another multiple.
bool Builder::integral(std::span<const Multiple> multiples, double scale) const {
  return std::ranges::all_of(multiples, [&](const Multiple& m) {
    const double integer = m.factor * scale / value(m.value).scale;
    return std::abs(integer - std::nearbyint(integer)) <= kExact * std::abs(integer);
  });
}

// Whether a plaintext of a mix of this scale is one integer, which needs no room for rounding.
bool Builder::is_multiple(const Factor& factor, int value, double scale) const {
  const Pattern& p = program_.patterns[static_cast<std::size_t>(factor.pattern)];
  const Multiple multiple[] = {{value, p.front()}};
  return p.size() == 1 && factor.coefficient < 0 && integral(multiple, scale);
}

std::vector<int> Builder::rotate(int value, std::span<const std::int64_t> rotations, int limbs) {
  Instruction i{.kind = Kind::rotate, .limbs = limbs > 0 ? limbs : this->value(value).limbs, .sources = {value}};
  std::vector<int> out;
  for (std::int64_t r : rotations) {
    if (r == 0) {
      out.push_back(value);
      continue;
    }
    out.push_back(make(i.limbs, this->value(value).scale));
    i.outputs.push_back(out.back());
    i.rotations.push_back(r);
  }
  if (!i.outputs.empty()) program_.instructions.push_back(std::move(i));
  return out;
}

int Builder::rotate_sum(int value, std::vector<std::int64_t> rotations) {
  if (rotations.empty()) return value;
  const Value v = this->value(value);
  const int out = make(v.limbs, v.scale);
  program_.instructions.push_back({.kind = Kind::rotate_sum,
                                   .limbs = v.limbs,
                                   .sources = {value},
                                   .outputs = {out},
                                   .rotations = std::move(rotations)});
  return out;
}

int Builder::join(std::vector<int> values, std::vector<std::int64_t> rotations) {
  check(!values.empty() && values.size() == rotations.size(), "a join needs a rotation for each value");
  const int limbs = common_limbs(values);
  const double scale = value(values.front()).scale;
  for (int v : values) check(std::abs(value(v).scale / scale - 1) < kExact, "values of a join have different scales");
  const int out = make(limbs, scale);
  program_.instructions.push_back({.kind = Kind::join,
                                   .limbs = limbs,
                                   .sources = std::move(values),
                                   .outputs = {out},
                                   .rotations = std::move(rotations)});
  return out;
}

int Builder::multiply(const Products& products, std::span<const Multiple> addends, double scale) {
  Instruction i{.kind = Kind::multiply};
  for (const auto& [a, b] : products) {
    i.sources.push_back(a);
    i.sources.push_back(b);
  }
  std::vector<int> all = i.sources;
  for (const Multiple& m : addends) {
    i.addends.push_back(m.value);
    i.numbers.push_back(m.factor);
    all.push_back(m.value);
  }
  if (!products.empty()) scale = value(products.front().first).scale * value(products.front().second).scale;
  for (const auto& [a, b] : products)
    check(std::abs(value(a).scale * value(b).scale / scale - 1) < kExact, "products have different scales");
  fits_ = fits_ && integral(addends, scale);
  i.limbs = common_limbs(all);
  i.rescales = rescales(i.limbs, scale);
  const int out = make(i.limbs - i.rescales, rescaled(i.limbs, scale, i.rescales));
  i.outputs = {out};
  program_.instructions.push_back(std::move(i));
  return out;
}

std::vector<int> Builder::mix(const std::vector<int>& values, const std::vector<std::vector<Factor>>& factors,
                              double scale, int limbs, int rescales, std::vector<int> constants) {
  Instruction i{.kind = Kind::mix, .limbs = limbs > 0 ? limbs : common_limbs(values), .sources = values};
  i.rescales = rescales >= 0 ? rescales : this->rescales(i.limbs, scale);
  check(constants.empty() || constants.size() == factors.size(), "a mix needs a constant for each row");
  i.constants = std::move(constants);
  for (const std::vector<Factor>& row : factors) {
    check(row.size() == values.size(), "a mix needs a factor for each value");
    for (std::size_t k = 0; k < row.size(); ++k)
      check(row[k].pattern < 0 || std::abs(scale / value(values[k]).scale) >= kLeastPlaintextScale ||
                is_multiple(row[k], values[k], scale),
            "a plaintext of a mix is rounded to nothing");
    i.factors.insert(i.factors.end(), row.begin(), row.end());
    i.outputs.push_back(make(i.limbs - i.rescales, rescaled(i.limbs, scale, i.rescales)));
  }
  std::vector<int> out = i.outputs;
  program_.instructions.push_back(std::move(i));
  return out;
}

int Builder::affine(int value, double factor, double number) {
  const Value v = this->value(value);
  const int out = make(v.limbs, v.scale / factor);
  program_.instructions.push_back(
      {.kind = Kind::shift, .limbs = v.limbs, .sources = {value}, .outputs = {out}, .numbers = {number}});
  return out;
}

int Builder::bootstrap(int value, const bootstrap::BootstrapSpec& spec, double scale) {
  program_.bootstrapping = spec;
  const int out = make(spec.output_limbs(), scale);
  program_.instructions.push_back(
      {.kind = Kind::bootstrap, .limbs = spec.input_limbs(), .sources = {value}, .outputs = {out}});
  return out;
}

}  // namespace sotto::program
