#include "compiler/statistics.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>
#include <random>
#include <string>

#include "base/error.h"
#include "base/parallel.h"
#include "circuit/gradient.h"

namespace sotto::compiler {

namespace {

using circuit::Circuit;
using circuit::Op;
using circuit::Shape;

constexpr std::size_t kParts = 16;
constexpr std::size_t kMostMoments = 512;  // channels of which all products are measured
constexpr int kMostReach = 12;             // pixels
constexpr double kMost = 0x1p300;          // beyond it not even the reference is to be trusted

// Adds one image's values and gradients of a tensor or sum.
void add(std::vector<ChannelStatistics>& channels, const std::vector<double>& values, const std::vector<double>& slope,
         double room) {
  const std::size_t plane = values.size() / channels.size();
  for (std::size_t c = 0; c < channels.size(); ++c) {
    double squares = 0, gradient = 0, largest = 0;
    for (std::size_t k = c * plane; k < (c + 1) * plane; ++k) {
      squares += values[k] * values[k];
      gradient += slope[k] * slope[k];
      largest = std::max(largest, std::abs(values[k]));
    }
    channels[c].mean_square += squares / static_cast<double>(plane);
    channels[c].gradient += gradient;
    channels[c].largest = std::max(channels[c].largest, room * (std::isfinite(largest) ? largest : kMost));
  }
}

// The moments that convolutions ask of each tensor, all zeros.
std::vector<plan::Moments> no_moments(const Circuit& circuit) {
  std::vector<plan::Moments> out(circuit.values.size());
  for (const Op& op : circuit.ops)
    for (const circuit::Term& term : op.terms) {
      if (term.kind != circuit::Term::Kind::convolution) continue;
      const auto c = static_cast<std::size_t>(circuit.value(term.source).shape.channels);
      plan::Moments& m = out[static_cast<std::size_t>(term.source)];
      if (c > kMostMoments) continue;
      m.channels.resize(c * c);
      m.reach = std::max(m.reach, std::min(kMostReach, std::max((term.kernel_h - 1) * term.dilation_h,
                                                                (term.kernel_w - 1) * term.dilation_w)));
      const auto reach = static_cast<std::size_t>(m.reach);
      m.neighbours.assign((reach + 1) * (2 * reach + 1), 0);
    }
  return out;
}

// Adds one image's products of channels, and of neighbours, to sums.
void add(plan::Moments& sums, const Shape& shape, const std::vector<double>& values) {
  if (sums.channels.empty()) return;
  const auto c = static_cast<std::size_t>(shape.channels), h = static_cast<std::size_t>(shape.height),
             w = static_cast<std::size_t>(shape.width);
  for (std::size_t i = 0; i < c; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      const double* a = values.data() + i * h * w;
      sums.channels[i * c + j] += std::inner_product(a, a + h * w, values.data() + j * h * w, 0.0);
    }
  const int reach = sums.reach;
  for (int dy = 0; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx) {
      double sum = 0;
      const int first = std::max(0, -dx), last = std::min(shape.width, shape.width - dx);
      for (std::size_t channel = 0; channel < c && last > first; ++channel)
        for (int y = 0; y + dy < shape.height; ++y) {
          const double* a = values.data() + (channel * h + static_cast<std::size_t>(y)) * w + first;
          sum += std::inner_product(a, a + (last - first), a + static_cast<std::ptrdiff_t>(dy) * shape.width + dx, 0.0);
        }
      sums.neighbours[static_cast<std::size_t>(dy * (2 * reach + 1) + dx + reach)] += sum;
    }
}

// Statistics of no image.
Statistics nothing_of(const Circuit& circuit) {
  Statistics out;
  for (const circuit::Value& v : circuit.values) out.values.emplace_back(static_cast<std::size_t>(v.shape.channels));
  for (const Op& op : circuit.ops) out.sums.emplace_back(out.values[static_cast<std::size_t>(op.output)].size());
  out.moments = no_moments(circuit);
  return out;
}

void join(Statistics& all, const Statistics& part) {
  const auto join_channels = [](auto& list, const auto& others) {
    for (std::size_t t = 0; t < list.size(); ++t)
      for (std::size_t c = 0; c < list[t].size(); ++c) {
        list[t][c].mean_square += others[t][c].mean_square;
        list[t][c].gradient += others[t][c].gradient;
        list[t][c].largest = std::max(list[t][c].largest, others[t][c].largest);
      }
  };
  join_channels(all.values, part.values);
  join_channels(all.sums, part.sums);
  for (std::size_t t = 0; t < all.moments.size(); ++t) {
    plan::Moments& m = all.moments[t];
    for (std::size_t k = 0; k < m.channels.size(); ++k) m.channels[k] += part.moments[t].channels[k];
    for (std::size_t k = 0; k < m.neighbours.size(); ++k) m.neighbours[k] += part.moments[t].neighbours[k];
  }
}

// From sums to means, and to correlations.
void finish(plan::Moments& m, const Shape& shape, std::size_t images) {
  if (m.channels.empty()) return;
  const auto c = static_cast<std::size_t>(shape.channels);
  const double pixels = static_cast<double>(images) * shape.height * shape.width;
  for (std::size_t i = 0; i < c; ++i)
    for (std::size_t j = 0; j <= i; ++j) m.channels[j * c + i] = m.channels[i * c + j] /= pixels;
  const double own = m.neighbours[static_cast<std::size_t>(m.reach)];
  for (double& v : m.neighbours) v = own > 0 ? v / own : 0;
}

}  // namespace

double Statistics::largest(int value) const {
  double most = 0;
  for (const ChannelStatistics& c : values[static_cast<std::size_t>(value)]) most = std::max(most, c.largest);
  return most;
}

Statistics measure(const Circuit& circuit, const Calibration& calibration,
                   const std::function<void(std::size_t)>& progress) {
  // Fixed parts of the images, so that sums do not depend on the number of threads.
  const std::size_t count = std::clamp<std::size_t>(calibration.images.size(), 1, kParts);
  const circuit::View view(circuit);
  std::vector<Statistics> parts(count, nothing_of(circuit));
  std::mutex mutex;
  std::size_t done = 0;
  parallel_for(count, [&](std::size_t part) {
    Statistics& sums = parts[part];
    for (std::size_t k = part; k < calibration.images.size(); k += count) {
      const circuit::Trace run = circuit::trace(view, calibration.images[k]);
      // Random signs: the mean of their squared gradients is the sum over the scores.
      std::mt19937_64 rng(k);
      std::vector<double> signs(run.scores(view).size());
      for (double& s : signs) s = (rng() & 1) != 0 ? 1 : -1;
      const circuit::Trace slopes = circuit::gradient(view, run, signs);
      for (std::size_t t = 0; t < sums.values.size(); ++t) {
        add(sums.values[t], run.values[t], slopes.values[t], calibration.room[k]);
        add(sums.moments[t], circuit.values[t].shape, run.values[t]);
      }
      for (std::size_t s = 0; s < sums.sums.size(); ++s)
        add(sums.sums[s], run.sums[s], slopes.sums[s], calibration.room[k]);
      const std::scoped_lock lock(mutex);
      if (progress) progress(++done);
    }
  });
  Statistics out = std::move(parts.front());
  out.made_up = calibration.made_up;
  for (std::size_t part = 1; part < count; ++part) {
    join(out, parts[part]);
    parts[part] = {};
  }
  for (std::size_t t = 0; t < out.moments.size(); ++t)
    finish(out.moments[t], circuit.values[t].shape, calibration.images.size());
  const auto to_means = [&](std::vector<ChannelStatistics>& channels) {
    for (ChannelStatistics& c : channels)
      for (double* mean : {&c.mean_square, &c.gradient})
        *mean /= static_cast<double>(std::max<std::size_t>(calibration.images.size(), 1));
  };
  for (auto& channels : out.values) to_means(channels);
  for (auto& channels : out.sums) to_means(channels);
  for (const Op& op : circuit.ops) {
    if (op.kind != Op::Kind::activate) continue;
    for (int v : {op.output, op.terms.front().source})
      for (ChannelStatistics& c : out.values[static_cast<std::size_t>(v)]) c.largest = op.activation.range;
  }
  for (std::size_t t = 0; t < out.values.size(); ++t)
    if (!(out.largest(static_cast<int>(t)) < kMost))
      throw Error(ErrorCode::bad_input,
                  "values after '" + circuit.values[t].name + "' grow too large for encrypted arithmetic" +
                      (calibration.made_up ? " on made-up images; measure on real ones" : ""),
                  calibration.made_up ? Setting::calibration : Setting::none);
  return out;
}

}  // namespace sotto::compiler
