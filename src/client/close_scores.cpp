#include "client/close_scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sotto::client {

namespace {

// Scores that lie closer than this part of the spread on which errors were predicted tell of faint pictures.
constexpr double kFaint = 0.5;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// How far scores of different images lie apart: the root mean square, over classes, of their distance to the median
// image, for the image in the middle. Few images among many, however strange, do not count.
double spread_of(const std::vector<const std::vector<double>*>& images) {
  const std::size_t classes = images.front()->size();
  std::vector<double> squares(images.size());
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<double> column;
    column.reserve(images.size());
    for (const auto* scores : images) column.push_back((*scores)[c]);
    const double centre = median(column);
    for (std::size_t i = 0; i < images.size(); ++i)
      squares[i] += std::pow(column[i] - centre, 2) / static_cast<double>(classes);
  }
  return std::sqrt(median(squares));
}

// The root mean square, over classes, of the distance between two images.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t c = 0; c < a.size(); ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

// By image: how near the nearest ones are, of which there are a twentieth of all. Scores of faint pictures lie close to
// each other, also beside those of others. A few hundred images tell enough; of a few images all are one group.
std::vector<double> nearness(const std::vector<const std::vector<double>*>& images) {
  constexpr std::size_t kCompared = 512, kLeast = 8, kShare = 20;
  if (images.size() < kLeast) return std::vector<double>(images.size(), spread_of(images));
  const std::size_t stride = (images.size() + kCompared - 1) / kCompared;
  std::vector<double> out, distances;
  for (const auto* image : images) {
    distances.clear();
    for (std::size_t k = 0; k < images.size(); k += stride)
      if (images[k] != image) distances.push_back(distance(*image, *images[k]));
    const auto rank = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / kShare);
    std::ranges::nth_element(distances, rank);
    out.push_back(*rank);
  }
  return out;
}

// What scores of an image err by. Errors grow with values beyond those on which they were predicted. Scores that lie
// much closer to others may be those of pictures whose values are small, of which polynomials see only the middle.
double error_of(const plan::Watch& watch, double spread, double nearest) {
  if (nearest < watch.score_spread * kFaint) return std::max(watch.score_error, watch.faint_error);
  return watch.score_spread > 0 ? watch.score_error * std::max(1.0, spread / watch.score_spread) : watch.score_error;
}

// How far scores of an image lie apart, errors included: their deviation, for the image in the middle.
double spread_within(const std::vector<const std::vector<double>*>& images) {
  std::vector<double> deviations;
  deviations.reserve(images.size());
  for (const auto* scores : images) {
    const auto classes = static_cast<double>(scores->size());
    const double mean = std::accumulate(scores->begin(), scores->end(), 0.0) / classes;
    double squares = 0;
    for (double s : *scores) squares += (s - mean) * (s - mean);
    deviations.push_back(std::sqrt(squares / (classes - 1)));
  }
  return median(std::move(deviations));
}

// The chance that without errors of this deviation another score would be larger than the largest one, or a bound on
// it. Scores and errors are taken as Gaussian: what is left of a lead without its error is smaller on average, and
// nothing where errors are all there is.
double chance_of_exchange(const std::vector<double>& scores, double error, double within) {
  const double ratio = error / within, part = std::max(0.0, 1 - ratio * ratio);
  const int best = argmax(scores);
  double chance = 0;
  for (std::size_t c = 0; c < scores.size(); ++c)
    if (static_cast<int>(c) != best)
      chance += 0.5 * std::erfc(std::sqrt(part) * (scores[static_cast<std::size_t>(best)] - scores[c]) / (2 * error));
  return std::min(1.0, chance);
}

}  // namespace

void mark_close_scores(const plan::Watch& watch, const Scores& scores, std::vector<Doubt>& doubts) {
  if (watch.score_error <= 0 || scores.empty() || scores.front().size() < 2) return;
  std::vector<std::size_t> trusted;
  std::vector<const std::vector<double>*> rows;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (doubts[i] != Doubt::none) continue;
    trusted.push_back(i);
    rows.push_back(&scores[i]);
  }
  if (trusted.empty()) return;
  const double spread = spread_of(rows), within = spread_within(rows);
  const std::vector<double> nearest =
      watch.faint_error > 0 ? nearness(rows) : std::vector<double>(rows.size(), HUGE_VAL);
  std::vector<double> chances;
  chances.reserve(rows.size());
  for (std::size_t k = 0; k < rows.size(); ++k)
    chances.push_back(chance_of_exchange(*rows[k], error_of(watch, spread, nearest[k]), within));
  std::vector<std::size_t> order(trusted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return chances[a] > chances[b]; });
  double expected = std::accumulate(chances.begin(), chances.end(), 0.0);
  for (std::size_t k = 0; k < order.size(); ++k) {
    if (expected <= (1 - watch.agreement) * static_cast<double>(order.size() - k)) break;
    doubts[trusted[order[k]]] = Doubt::error;
    expected -= chances[order[k]];
  }
}

}  // namespace sotto::client
