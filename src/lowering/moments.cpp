#include "lowering/moments.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "lowering/gather.h"
#include "lowering/masks.h"
#include "lowering/step_bootstrap.h"
#include "program/builder.h"

namespace sotto::lowering {

namespace {

using program::Factor;
using program::Multiple;
using program::Pattern;
using program::Products;

constexpr double kLabelScale = 0x1p40;  // as that of images that come straight from encryption
constexpr double kSumScale = 0x1p44;    // of the state, before means are taken
constexpr int kSumLimbs = 2;            // of the state: what decryption reads
constexpr double kLeastScale = 0x1p31;
constexpr double kFinerMasks = 0x1p8;  // than gradients have: solving enlarges errors

// Of images: distances to whole numbers below it are errors.
constexpr double kTellsWholeNumbers = 0.15;

double root_mean_square(std::span<const double> v) {
  return v.empty() ? 0
                   : std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0) / static_cast<double>(v.size()));
}

// Products of two ciphertexts of an image, slot by slot, one shifted: slot s has number s - tile * back of `left` times
// number s + ahead of `right`. With `tile` shifts of each, or twice as many, all pairs of a tile meet.
struct Meeting {
  int left = 0, right = 0;
  int back = 0;   // in rows of the tile
  int ahead = 0;  // 0 .. tile - 1
};

// Every pair of numbers in one of two orders: of different ciphertexts, shifts in both directions; of one with itself,
// in one direction.
std::vector<Meeting> meetings(int ciphertexts, int tile) {
  std::vector<Meeting> list;
  for (int left = 0; left < ciphertexts; ++left)
    for (int right = left; right < ciphertexts; ++right)
      for (int back = left == right ? 0 : -tile; back < tile; ++back)
        for (int ahead = 0; ahead < tile; ++ahead)
          if (back * tile + ahead > -tile * tile) list.push_back({left, right, back, ahead});
  return list;
}

// How many these are, without a list.
std::int64_t count_of_meetings(std::int64_t ciphertexts, std::int64_t tile) {
  return ciphertexts * tile * tile + ciphertexts * (ciphertexts - 1) / 2 * (2 * tile * tile - 1);
}

// By ciphertext of an image and position: index of the number that lies there, or -1.
std::vector<std::vector<int>> numbers_of(const Layout& layout, int tile) {
  std::vector<std::vector<int>> numbers(static_cast<std::size_t>(layout.ciphertexts()),
                                        std::vector<int>(static_cast<std::size_t>(tile) * tile, -1));
  int next = 0;
  for (int c = 0; c < layout.channels; ++c)
    for (int y = 0; y < layout.height; ++y)
      for (int x = 0; x < layout.width; ++x) {
        const packing::Place at = packing::place_of(layout, tile, y, x);
        numbers[static_cast<std::size_t>(c * layout.phase_count() + at.phase)][static_cast<std::size_t>(at.position)] =
            next++;
      }
  return numbers;
}

int classes_of(const Step& step) { return step.value(step.labels).shape.channels; }

const Layout& images_of(const Step& step, const Arrangement& a) {
  return a.layouts[static_cast<std::size_t>(step.images)];
}

class Writer {
 public:
  Writer(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
         const std::vector<std::uint64_t>& primes)
      : a_(arrangement),
        classes_(classes_of(step)),
        each_(images_of(step, arrangement).ciphertexts()),
        choice_(choice),
        builder_(primes, choice.least_scale, 1),
        gather_(builder_, arrangement, kFinerMasks) {}

  // images: of all steps.
  std::optional<LoweredStep> run(double images) {
    const int limbs = choice_.bootstrapping.input_limbs();
    for (int k = 0; k < a_.groups() * each_; ++k) images_.push_back(builder_.input(limbs, choice_.image_scale));
    for (int k = 0; k < a_.groups() * classes_; ++k) labels_.push_back(builder_.input(limbs, kLabelScale));
    leave_out_absent();
    int leaf = 0;
    for (int k = 0; k < classes_; ++k)
      for (int c = 0; c < each_; ++c) gather_.add(0, leaf++, product(images_, each_, c, labels_, classes_, k));
    for (int k = 0; k < classes_; ++k) gather_.add(0, leaf++, sum_of_labels(k));
    shift();
    for (const Meeting& m : meetings(each_, a_.tile))
      gather_.add(0, leaf++, product(back_.at({m.left, m.back}), 1, 0, ahead_.at({m.right, m.ahead}), 1, 0));
    return finish(images);
  }

 private:
  using Copies = std::map<std::pair<int, int>, std::vector<int>>;  // by ciphertext and shift: one for each group

  // The slots of images that are not there need not be zero: what an inference makes of nothing.
  void leave_out_absent() {
    present_ = images_;
    const int left = a_.batch - (a_.groups() - 1) * a_.images_per_group();
    if (left == a_.images_per_group()) return;
    Pattern there(static_cast<std::size_t>(a_.slots()));
    std::fill_n(there.begin(), left * a_.positions(), 1.0);
    const double scale = choice_.image_scale * mask_scale(there.size()) * kFinerMasks;
    const Factor some{builder_.pattern(std::move(there)), -1}, all{builder_.pattern({1}), -1};
    for (std::size_t k = 0; k < images_.size(); ++k) {
      const bool last = k / static_cast<std::size_t>(each_) + 1 == static_cast<std::size_t>(a_.groups());
      present_[k] = builder_.mix({images_[k]}, {{last ? some : all}}, scale).front();
    }
  }

  void shift() {
    std::vector<std::int64_t> backs, aheads;
    for (int s = each_ > 1 ? -a_.tile : 0; s < a_.tile; ++s) backs.push_back(-std::int64_t{s} * a_.tile);
    for (int s = 0; s < a_.tile; ++s) aheads.push_back(s);
    for (std::size_t k = 0; k < images_.size(); ++k) {
      const int c = static_cast<int>(k) % each_;
      const std::vector<int> back = builder_.rotate(present_[k], backs), ahead = builder_.rotate(images_[k], aheads);
      for (std::size_t i = 0; i < back.size(); ++i)
        back_[{c, static_cast<int>(-backs[i] / a_.tile)}].push_back(back[i]);
      for (std::size_t i = 0; i < ahead.size(); ++i) ahead_[{c, static_cast<int>(aheads[i])}].push_back(ahead[i]);
    }
  }

  // Summed over the groups: of [group][stride] numbers, those at an offset.
  int product(const std::vector<int>& left, int left_stride, int left_at, const std::vector<int>& right,
              int right_stride, int right_at) {
    Products products;
    for (int g = 0; g < a_.groups(); ++g)
      products.emplace_back(left[static_cast<std::size_t>(g * left_stride + left_at)],
                            right[static_cast<std::size_t>(g * right_stride + right_at)]);
    return builder_.multiply(products);
  }

  int sum_of_labels(int k) {
    std::vector<Multiple> addends;
    for (int g = 0; g < a_.groups(); ++g) addends.push_back({labels_[static_cast<std::size_t>(g * classes_ + k)], 1});
    return addends.size() == 1 ? addends.front().value : builder_.multiply({}, addends, kLabelScale);
  }

  // Sums of labels have limbs to spare where others had images masked that are not there. Divided by these they have
  // the scale of the others, for which masks need no more than their own.
  void use_up_limbs(std::vector<int>& values) {
    double least = HUGE_VAL;
    for (int v : values)
      if (builder_.value(v).limbs == kSumLimbs) least = std::min(least, builder_.value(v).scale);
    for (int& v : values)
      for (int limbs = builder_.value(v).limbs; limbs > kSumLimbs; --limbs) {
        const double scale = least * builder_.prime(limbs - 1);
        if (scale < builder_.value(v).scale * program::kLeastPlaintextScale) break;
        v = builder_.mix({v}, {{{builder_.pattern({1}), -1}}}, scale, 0, 1).front();
      }
  }

  std::optional<LoweredStep> finish(double images) {
    std::vector<int> values;
    std::vector<Factor> factors;
    for (const auto& [node, value] : gather_.nodes()) {
      Pattern there(static_cast<std::size_t>(a_.period));
      std::fill_n(there.begin() + std::ptrdiff_t{node} * a_.node, a_.node, 1.0);
      values.push_back(value);
      factors.push_back({builder_.pattern(std::move(there)), -1});
    }
    const int left = builder_.common_limbs(values) - kSumLimbs, rescales = std::min(left, 1);
    if (!builder_.fits() || left < 0) return std::nullopt;
    if (rescales == 0) use_up_limbs(values);
    double largest = 0;
    for (int v : values) largest = std::max(largest, builder_.value(v).scale);
    const double scale = rescales > 0 ? kSumScale * builder_.prime(kSumLimbs)
                                      : largest * mask_scale(static_cast<std::size_t>(a_.period));
    const int sums = builder_.mix(values, {factors}, scale, kSumLimbs + rescales, rescales).front();
    const int means = builder_.affine(sums, 1 / images, 0);
    LoweredStep out;
    out.state_scale = builder_.value(means).scale;
    const int before = builder_.input(kSumLimbs, out.state_scale);
    // A sum whose scale is not divided, however many images there are.
    const Factor one{builder_.pattern({1}), -1};
    const int after = builder_.mix({before, means}, {{one, one}}, out.state_scale, kSumLimbs, 0).front();
    check(builder_.value(after).limbs == kSumLimbs, "a state has other limbs behind a step than before it");
    builder_.output(after);
    out.images = images_.size();
    out.labels = labels_.size();
    out.program = builder_.take();
    // The state comes first, as in all steps.
    std::ranges::rotate(out.program.inputs, out.program.inputs.end() - 1);
    program::trim_inputs(out.program);
    return out;
  }

  const Arrangement& a_;
  int classes_, each_;  // ciphertexts of an image
  const LevelChoice& choice_;
  program::Builder builder_;
  Gather gather_;
  std::vector<int> images_, labels_;  // [group][ciphertext], [group][class]
  std::vector<int> present_;          // images_ where there are any, else zero
  Copies back_, ahead_;
};

}  // namespace

Arrangement arrange_moments(const Step& step, int batch, int log_n, int tile) {
  training::require_dense_layer(step);
  Arrangement a = arrange_maps(step, batch, log_n, tile);
  const int each = images_of(step, a).ciphertexts(), classes = classes_of(step);
  const std::int64_t leaves = count_of_meetings(each, a.tile) + std::int64_t{classes} * (each + 1);
  const std::int64_t slots = leaves * a.positions();
  if (slots > a.slots())
    throw Error(ErrorCode::bad_input,
                fmt::format("the normal equations of {} features and {} classes take {} slots, a ciphertext has {}: "
                            "train with sgd",
                            step.value(step.images).size(), classes, slots, a.slots()));
  a.period = static_cast<int>(std::bit_ceil(static_cast<unsigned>(slots)));
  a.node = std::min(kMostBlocks * a.positions(), a.period);
  a.parameters = {{0, a.positions(), static_cast<int>(leaves)}};
  return a;
}

training::Moments unpack_moments(const Step& step, const Arrangement& a, std::span<const double> slots) {
  training::Moments m = training::no_moments(step);
  const std::vector<std::vector<int>> numbers = numbers_of(images_of(step, a), a.tile);
  const int positions = a.positions(), each = static_cast<int>(numbers.size());
  const double* leaf = slots.data();
  for (std::size_t k = 0; k < m.classes; ++k)
    for (const std::vector<int>& of : numbers) {
      for (int s = 0; s < positions; ++s)
        if (of[static_cast<std::size_t>(s)] >= 0)
          m.products[k * m.features + static_cast<std::size_t>(of[static_cast<std::size_t>(s)])] = leaf[s];
      leaf += positions;
    }
  for (std::size_t k = 0; k < m.classes; ++k, leaf += positions) m.counts[k] = *leaf;
  for (const Meeting& meeting : meetings(each, a.tile)) {
    for (int s = 0; s < positions; ++s) {
      // Where both numbers are of one image: this one, or one beside it.
      const int behind = s - meeting.back * a.tile + positions, before = s + meeting.ahead + positions;
      if (behind / positions != before / positions) continue;
      const int i = numbers[static_cast<std::size_t>(meeting.left)][static_cast<std::size_t>(behind % positions)],
                j = numbers[static_cast<std::size_t>(meeting.right)][static_cast<std::size_t>(before % positions)];
      if (i < 0 || j < 0) continue;
      const auto row = static_cast<std::size_t>(i), column = static_cast<std::size_t>(j);
      m.squares[row * m.features + column] = m.squares[column * m.features + row] = leaf[s];
    }
    leaf += positions;
  }
  return m;
}

double error_of_moments(const Step& step, const Arrangement& a, std::span<const double> slots, double part,
                        double images) {
  const std::vector<std::vector<int>> numbers = numbers_of(images_of(step, a), a.tile);
  const auto positions = static_cast<std::size_t>(a.positions()), classes = static_cast<std::size_t>(classes_of(step));
  std::vector<double> errors, fractions;
  std::size_t leaf = 0;  // its first slot
  for (std::size_t k = 0; k < classes; ++k)
    for (const std::vector<int>& of : numbers) {
      for (std::size_t s = 0; s < positions; ++s)
        if (of[s] < 0) errors.push_back(slots[leaf + s]);  // no feature lies there
      leaf += positions;
    }
  double sum = 0;
  for (std::size_t k = 0; k < classes; ++k, leaf += positions) {  // counts, the same number everywhere
    const auto of_class = slots.subspan(leaf, positions);
    const double mean = std::accumulate(of_class.begin(), of_class.end(), 0.0) / static_cast<double>(positions);
    for (double v : of_class)
      if (positions > 1) errors.push_back(v - mean);
    fractions.push_back(mean - std::nearbyint(mean * images) / images);
    sum += mean;
  }
  const double of_all = std::abs(sum - part) / std::sqrt(static_cast<double>(classes));
  if (positions > 1) return std::max(root_mean_square(errors), of_all);
  // Tiles of one pixel: counts are whole numbers, which tells errors of less than half an image. Larger ones make the
  // distances random; slots without a leaf err more than others.
  const double whole = std::max(root_mean_square(fractions), of_all);
  if (whole * images < kTellsWholeNumbers) return whole;
  const auto last = static_cast<std::size_t>(a.parameters.front().leaves);
  return std::max(root_mean_square(slots.subspan(last, static_cast<std::size_t>(a.period) - last)), whole);
}

LevelChoice moment_levels(int log_n, double image_scale) {
  return {bootstrap_spec(log_n), kSumScale, image_scale, kLeastScale};
}

std::optional<LoweredStep> lower_moments(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
                                         const std::vector<std::uint64_t>& primes, const training::Spec& spec) {
  return Writer(step, arrangement, choice, primes).run(static_cast<double>(spec.batch) * spec.steps);
}

}  // namespace sotto::lowering
