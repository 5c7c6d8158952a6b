#include "compiler/scales.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "circuit/term.h"
#include "ckks/parameters.h"
#include "plan/noise.h"

namespace sotto::compiler {

namespace {

using plan::Kind;

// log2 of the largest slot of what is bootstrapped.
constexpr double kPeakBits = 44;
// Bits of the last modulus above the largest score: decryption takes what comes within three for damage. Where the last
// layer has an extra prime its weights do not need these bits, and an image beyond its range spoils fewer others.
constexpr double kScoreRoom = 3.5, kWideScoreRoom = 11;
// Bits of the modulus above the largest value of a tensor; no slot needs more than kMostBits.
constexpr double kRoom = 2, kMostBits = 80;
// Slots of polynomials' results stay below 2^56 (plan::verify); one more for noise.
constexpr double kResultBits = 55;
// Coefficients that are encrypted stay below 2^62 (ckks::encode).
constexpr double kInputBits = 50;
// As small as an input may get, also one that hardly changes the scores: probes look at its range.
constexpr double kLeastInputBits = 16;
// Where descent begins, for a value of 1.
constexpr double kFirstBits = 22;
constexpr double kDeadBits = 20;       // that a channel's largest value may lie below that of its tensor
constexpr double kMostImbalance = 30;  // bits between the factors of a product
constexpr double kMostDrop = 80;       // bits that a scale may lie below the largest one possible
constexpr int kMostSweeps = 200;
constexpr double kSettled = 0.01;  // bits

// a / D^2 + b / D^power + e D^2: what one channel's scale D does to the scores.
struct Influence {
  double rounding = 0, weights_of = 0, power = 1, weights_from = 0;

  [[nodiscard]] double slope(double log2) const {
    const double d = std::exp2(log2);
    return -2 * rounding / (d * d) - power * weights_of / (power == 1 ? d : d * d) + 2 * weights_from * d * d;
  }
};

// Channels whose scales move together, by the same number of bits.
struct Group {
  int tensor = 0;
  std::vector<std::size_t> channels;
  double least = 0, most = 0;  // log2 of the first channel's scale
};

class Descent {
 public:
  Descent(const plan::Plan& plan, const Statistics& statistics, const std::vector<std::vector<WeightErrors>>& errors,
          const std::vector<double>& rotated, const std::vector<std::uint64_t>& primes, const Scales* near)
      : plan_(plan),
        statistics_(statistics),
        errors_(errors),
        rotated_(rotated),
        primes_(primes),
        near_(near),
        producer_(plan.tensors.size(), -1),
        least_(plan.tensors.size()),
        readers_(plan.tensors.size()) {
    for (std::size_t t = 0; t < plan.tensors.size(); ++t) least_[t] = plan.tensors[t].level;
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      producer_[index(plan.steps[s].output)] = static_cast<int>(s);
      for (const plan::Term& term : plan.steps[s].terms)
        if (const ckks::Level& level = plan.steps[s].level; bits(level) < bits(least_[index(term.source)]))
          least_[index(term.source)] = level;
      for (std::size_t k = 0; k < errors[s].size(); ++k)
        readers_[index(plan.steps[s].terms[k].source)].emplace_back(s, k);
    }
    for (const plan::Step& s : plan.steps) divisors_.emplace_back(plan::levels_of(plan, s), primes_);
    begin();
    for (std::size_t t = 0; t < plan.tensors.size(); ++t) follow(t);
    for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
      squares_.emplace_back();
      for (double l : scales_.log2[t]) squares_.back().push_back(std::exp2(2 * l));
    }
  }

  Scales run() {
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
      double moved = 0;
      for (auto first = groups_.begin(); first != groups_.end();) {
        const std::vector<Influence> influences = influences_on(index(first->tensor));
        const int tensor = first->tensor;
        for (; first != groups_.end() && first->tensor == tensor; ++first)
          moved = std::max(moved, settle(*first, influences));
      }
      if (moved < kSettled) break;
    }
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) scales_.variance.push_back(variance(s));
    return std::move(scales_);
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] const std::vector<ChannelStatistics>& channels(std::size_t t) const { return statistics_.values[t]; }
  [[nodiscard]] double bits(const ckks::Level& level) const {
    double bits = 0;
    for (int k = level.absent; k < level.limbs; ++k) bits += std::log2(static_cast<double>(primes_[index(k)]));
    return bits;
  }

  // The squared scale of a step's sum for an output channel.
  [[nodiscard]] double sum_scale(std::size_t s, std::size_t o) const {
    return std::pow(plan::sum_scale(plan_.steps[s], divisors_[s], std::sqrt(squares_[index(plan_.steps[s].output)][o])),
                    2);
  }

  // The first scales, and which of them are free.
  void begin() {
    const double peak = kPeakBits;
    for (std::size_t t = 0; t < plan_.tensors.size(); ++t) {
      const auto& all = channels(t);
      std::vector<double>& log2 = scales_.log2.emplace_back(all.size());
      const double largest = std::log2(std::max(statistics_.largest(static_cast<int>(t)), 0x1p-200));
      const double room = std::min(bits(least_[t]) - kRoom, kMostBits);
      const plan::Step* made = producer_[t] < 0 ? nullptr : &plan_.steps[index(producer_[t])];
      const plan::Step *bootstrapped = nullptr, *activated = nullptr;
      for (const plan::Step& s : plan_.steps) {
        if (s.terms.front().source != static_cast<int>(t)) continue;
        if (s.kind == Kind::bootstrap) bootstrapped = &s;
        if (s.kind == Kind::activate) activated = &s;
      }
      if (made != nullptr && made->keep && made->output != plan_.steps.back().output) continue;  // follows its product
      const bool of_bootstrap = made != nullptr && made->kind == Kind::bootstrap;
      const bool of_activation = made != nullptr && made->kind == Kind::activate;
      // A channel that hardly ever moves keeps some distance from the range of the others.
      const auto bound = [&](std::size_t c) {
        return std::max(std::log2(std::max(all[c].largest, 0x1p-200)), largest - 6);
      };
      if (activated != nullptr) {
        const auto prime = static_cast<double>(primes_[index(activated->level.limbs - 1)]);
        log2.assign(all.size(), std::log2(prime / activated->activation.range));
      } else if (bootstrapped != nullptr) {
        const bool together = of_activation || argument(bootstrapped->output);
        for (std::size_t c = 0; c < all.size(); ++c)
          log2[c] = std::min(peak - (together ? largest : bound(c)), most_of_product(t, c));
      } else if (made != nullptr && made->keep) {
        const double above = made->late > 0 ? kWideScoreRoom : kScoreRoom;
        log2.assign(all.size(), room + kRoom - above - largest);
      } else if (of_bootstrap) {
        const auto& source = scales_.log2[index(made->terms.front().source)];
        log2 = source;
        Group g{static_cast<int>(t), {}, -1e9, HUGE_VAL};
        for (std::size_t c = 0; c < all.size(); ++c) {
          g.channels.push_back(c);
          g.most = std::min(g.most, room - bound(c) - log2[c] + log2[0]);
        }
        g.most = std::min(g.most, kResultBits - largest);
        g.least = g.most - kMostDrop;
        add(std::move(g));
      } else if (made == nullptr || of_activation) {
        Group g{static_cast<int>(t), {}, 0, std::min(room, made == nullptr ? kInputBits : kResultBits) - largest};
        for (std::size_t c = 0; c < all.size(); ++c) g.channels.push_back(c);
        g.least = g.most - kMostDrop;
        if (made == nullptr) g.least = std::max(g.least, std::min(g.most, kLeastInputBits - largest));
        log2.assign(all.size(), kFirstBits - largest);
        add(std::move(g));
      } else {
        for (std::size_t c = 0; c < all.size(); ++c) {
          // A channel that was zero on all images has no preference: that of the others.
          const double most = std::min(room - live_bits(t, c), most_of_product(t, c));
          log2[c] = kFirstBits - (all[c].mean_square > 0 ? std::log2(all[c].mean_square) / 2 : largest);
          add({static_cast<int>(t), {c}, most - kMostDrop, most});
        }
      }
    }
  }

  // The product that a tensor is the result of; null if it is none.
  [[nodiscard]] const plan::Step* product(std::size_t t) const {
    if (producer_[t] < 0) return nullptr;
    const plan::Step& made = plan_.steps[index(producer_[t])];
    return made.kind == Kind::multiply ? &made : nullptr;
  }

  // log2 of the largest value of a channel; one that was zero on all images keeps a distance from the others, too.
  [[nodiscard]] double live_bits(std::size_t t, std::size_t c) const {
    return std::log2(
        std::max({channels(t)[c].largest, 0x1p-200, statistics_.largest(static_cast<int>(t)) * std::exp2(-kDeadBits)}));
  }

  // The largest log2 of a product's scale with which the slots of both factors keep within their modulus.
  [[nodiscard]] double most_of_product(std::size_t t, std::size_t c) const {
    const plan::Step* s = product(t);
    if (s == nullptr) return HUGE_VAL;
    double most = HUGE_VAL;
    for (const plan::Term& factor : s->terms) {
      const std::size_t f = index(factor.source);
      const double log2 = bits(least_[f]) - kRoom - live_bits(f, c);
      const double more = &factor == &s->terms.front() ? imbalance(*s, c) : -imbalance(*s, c);
      most = std::min(most, 2 * log2 + more - std::log2(divisors_[index(producer_[t])].late));
    }
    return most;
  }

  // log2 of how much larger the first factor of a product is than the second one.
  [[nodiscard]] double imbalance(const plan::Step& s, std::size_t c) const {
    const double first = channels(index(s.terms.front().source))[c].mean_square,
                 second = channels(index(s.terms.back().source))[c].mean_square;
    return first > 0 && second > 0 ? std::clamp(std::log2(first / second) / 2, -kMostImbalance, kMostImbalance) : 0;
  }

  // The factors of a product get the scales that its result needs, so that both have slots of about the same size.
  void follow(std::size_t t) {
    const plan::Step* s = product(t);
    if (s == nullptr) return;
    const double q = std::log2(divisors_[index(producer_[t])].late);
    for (std::size_t c = 0; c < channels(t).size(); ++c) {
      const double both = scales_.log2[t][c] + q, more = imbalance(*s, c);
      scales_.log2[index(s->terms.front().source)][c] = (both - more) / 2;
      scales_.log2[index(s->terms.back().source)][c] = (both + more) / 2;
    }
    for (const plan::Term& term : s->terms) {
      const std::size_t factor = index(term.source);
      for (std::size_t c = 0; factor < squares_.size() && c < squares_[factor].size(); ++c)
        squares_[factor][c] = std::exp2(2 * scales_.log2[factor][c]);
    }
  }

  // Whether a tensor is the argument of an activation.
  [[nodiscard]] bool argument(int tensor) const {
    return std::ranges::any_of(
        plan_.steps, [&](const plan::Step& s) { return s.kind == Kind::activate && s.terms.front().source == tensor; });
  }

  void add(Group g) {
    std::vector<double>& log2 = scales_.log2[index(g.tensor)];
    const double first = log2[g.channels.front()],
                 start = near_ != nullptr ? near_->log2[index(g.tensor)][g.channels.front()] : first,
                 at = std::clamp(start, g.least, g.most);
    for (std::size_t c : g.channels) log2[c] += at - first;
    groups_.push_back(std::move(g));
  }

  // The rounding of a division, or of the input's encryption, and that of rotated copies, in slots: variance.
  [[nodiscard]] double rounding(std::size_t t) const {
    const double division = std::pow(plan::NoiseModel::rounding(plan_.parameters.log_n), 2);
    if (producer_[t] < 0)
      return std::pow(plan::NoiseModel::encryption(plan_.parameters.log_n), 2) + rotated_[t] * division;
    const plan::Step& made = plan_.steps[index(producer_[t])];
    const double divided = made.kind == Kind::sum && made.late == 0 ? 0 : 1;
    return (divided + rotated_[t]) * division;
  }

  // Of a division before the square, in slots of the sum: variance.
  [[nodiscard]] double early_rounding(std::size_t s) const {
    if (plan_.steps[s].early == 0) return 0;
    return std::pow(plan::NoiseModel::rounding(plan_.parameters.log_n) * divisors_[s].early, 2);
  }

  // What rounding its weights does to the channels of a step's sum: variances in slots.
  [[nodiscard]] std::vector<double> weights_of(std::size_t s) const {
    std::vector<double> sums(statistics_.sums[s].size());
    for (std::size_t k = 0; k < errors_[s].size(); ++k) {
      const std::size_t source = index(plan_.steps[s].terms[k].source);
      std::vector<double> energy = squares_[source];
      for (std::size_t i = 0; i < energy.size(); ++i) energy[i] *= channels(source)[i].mean_square;
      errors_[s][k].add_to(sums, energy);
    }
    return sums;
  }

  // On the channels of a tensor. None of them depends on the scales of the others.
  [[nodiscard]] std::vector<Influence> influences_on(std::size_t t) const {
    std::vector<Influence> all(channels(t).size());
    for (std::size_t c = 0; c < all.size(); ++c) all[c].rounding = rounding(t) * channels(t)[c].gradient;
    if (const plan::Step* multiplied = product(t)) {
      const double q = divisors_[index(producer_[t])].late;
      for (const plan::Term& factor : multiplied->terms) {
        const std::size_t s = index(producer_[index(factor.source)]);
        const std::vector<double> weights = weights_of(s);
        const double direction = &factor == &multiplied->terms.front() ? 1 : -1;
        for (std::size_t c = 0; c < all.size(); ++c)
          all[c].weights_of +=
              weights[c] * statistics_.sums[s][c].gradient / q * std::exp2(direction * imbalance(*multiplied, c));
      }
    } else if (producer_[t] >= 0 && !plan_.steps[index(producer_[t])].slotwise()) {
      const std::size_t s = index(producer_[t]);
      const double power = plan_.steps[s].kind == Kind::square ? 1 : 2;
      // The squared scale of the sum for a result of scale 1.
      const double unit = std::pow(plan::sum_scale(plan_.steps[s], divisors_[s], 1), 2), early = early_rounding(s);
      const std::vector<double> weights = weights_of(s);
      for (std::size_t c = 0; c < all.size(); ++c) {
        all[c].power = power;
        all[c].weights_of = (weights[c] + early) * statistics_.sums[s][c].gradient / unit;
      }
    }
    std::vector<double> weights_from(all.size());
    for (const auto& [s, k] : readers_[t]) {
      std::vector<double> worth;
      for (std::size_t o = 0; o < statistics_.sums[s].size(); ++o)
        worth.push_back(statistics_.sums[s][o].gradient / sum_scale(s, o));
      errors_[s][k].add_back(weights_from, worth);
    }
    for (std::size_t c = 0; c < all.size(); ++c) all[c].weights_from = weights_from[c] * channels(t)[c].mean_square;
    return all;
  }

  // Moves a group to where its slope is zero; returns by how many bits.
  double settle(const Group& g, const std::vector<Influence>& influences) {
    std::vector<double>& log2 = scales_.log2[index(g.tensor)];
    const double before = log2[g.channels.front()];
    std::vector<std::pair<Influence, double>> all;  // with the distance from the first channel
    bool any = false;
    for (std::size_t c : g.channels) {
      all.emplace_back(influences[c], log2[c] - before);
      any = any || all.back().first.rounding > 0 || all.back().first.weights_of > 0;
    }
    if (!any) return 0;
    double low = g.least, high = g.most;
    while (high - low > kSettled / 4) {
      const double middle = (low + high) / 2;
      double slope = 0;
      for (const auto& [f, distance] : all) slope += f.slope(middle + distance);
      (slope < 0 ? low : high) = middle;
    }
    for (std::size_t c : g.channels) {
      log2[c] += low - before;
      squares_[index(g.tensor)][c] = std::exp2(2 * log2[c]);
    }
    follow(index(g.tensor));
    return std::abs(low - before);
  }

  // What a step adds to the sum of squared errors of the scores: its weights, its division, its bootstrapping, and for
  // the first one the encryption of the input.
  [[nodiscard]] double variance(std::size_t s) const {
    const plan::Step& step = plan_.steps[s];
    const std::size_t t = index(step.output);
    double sum = 0;
    const std::vector<double> weights = step.slotwise() ? std::vector<double>() : weights_of(s);
    for (std::size_t o = 0; o < channels(t).size(); ++o) {
      double slots = rounding(t) * std::exp2(-2 * scales_.log2[t][o]);
      if (step.kind == Kind::bootstrap)
        slots += std::pow(plan::NoiseModel::bootstrap(), 2) *
                 std::exp2(2 * (kPeakBits - scales_.log2[index(step.terms.front().source)][o]));
      sum += slots * channels(t)[o].gradient;
      if (!step.slotwise()) sum += (weights[o] + early_rounding(s)) * statistics_.sums[s][o].gradient / sum_scale(s, o);
    }
    if (s == 0)
      for (std::size_t c = 0; c < channels(0).size(); ++c)
        sum += rounding(0) * std::exp2(-2 * scales_.log2[0][c]) * channels(0)[c].gradient;
    return sum;
  }

  const plan::Plan& plan_;
  const Statistics& statistics_;
  const std::vector<std::vector<WeightErrors>>& errors_;  // by step and term
  const std::vector<double>& rotated_;                    // by tensor
  const std::vector<std::uint64_t>& primes_;
  const Scales* near_;                                                     // where to begin, if known
  std::vector<plan::Divisors> divisors_;                                   // of the steps
  std::vector<int> producer_;                                              // step that makes a tensor
  std::vector<ckks::Level> least_;                                         // at which a tensor is held or read
  std::vector<std::vector<std::pair<std::size_t, std::size_t>>> readers_;  // steps and their terms
  std::vector<Group> groups_;
  Scales scales_;
  std::vector<std::vector<double>> squares_;  // 2^(2 log2) of them
};

}  // namespace

double Scales::total_variance() const { return std::accumulate(variance.begin(), variance.end(), 0.0); }

Scales choose_scales(const plan::Plan& plan, const Statistics& statistics,
                     const std::vector<std::vector<WeightErrors>>& errors, const std::vector<double>& rotated,
                     const std::vector<std::uint64_t>& primes, const Scales* near) {
  return Descent(plan, statistics, errors, rotated, primes, near).run();
}

namespace {

// log2 of the scale that a tensor states. For tensors of sums it is the middle of its channels' scales, within bounds:
// what they differ by, and what tiny values need beyond, goes into weights. What is bootstrapped keeps its factors.
std::vector<double> own_scales(const plan::Plan& plan, const Scales& scales, const std::vector<std::uint64_t>& primes) {
  std::vector<double> own;
  for (const auto& log2 : scales.log2) own.push_back(log2.front());
  for (const plan::Step& s : plan.steps) {
    const auto t = static_cast<std::size_t>(s.output), source = static_cast<std::size_t>(s.terms.front().source);
    const auto [least, most] = std::ranges::minmax(scales.log2[t]);
    if (s.kind == Kind::bootstrap)
      own[t] += own[source] - scales.log2[source].front();
    else if (s.kind == Kind::multiply || (!s.slotwise() && !s.keep))
      own[t] = std::clamp((least + most) / 2, 1.0, kMostBits);
  }
  // Factors of a product share its scale; what their channels differ by goes into weights.
  for (const plan::Step& s : plan.steps) {
    if (s.kind != Kind::multiply) continue;
    const double q = std::log2(plan::Divisors(plan::levels_of(plan, s), primes).late);
    for (const plan::Term& t : s.terms)
      own[static_cast<std::size_t>(t.source)] = (own[static_cast<std::size_t>(s.output)] + q) / 2;
  }
  return own;
}

}  // namespace

void apply_scales(plan::Plan& plan, const Scales& scales) {
  const auto primes = ckks::Parameters::create(plan.parameters).primes();
  const std::vector<double> own = own_scales(plan, scales, primes);
  std::vector<std::vector<double>> factor;  // log2, by channel
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
    const auto& log2 = scales.log2[t];
    plan.tensors[t].scale = std::exp2(own[t]);
    auto& f = factor.emplace_back();
    for (double l : log2) f.push_back(l - own[t]);
    std::vector<double>& moments = plan.tensors[t].moments.channels;
    for (std::size_t k = 0; k < moments.size(); ++k) moments[k] *= std::exp2(f[k / f.size()] + f[k % f.size()]);
  }
  if (plan.bootstrapping) plan.bootstrapping->input_peak = std::exp2(kPeakBits);
  for (plan::Step& s : plan.steps) {
    const auto& rows = factor[static_cast<std::size_t>(s.output)];
    const double result = plan.tensors[static_cast<std::size_t>(s.output)].scale;
    if (s.slotwise()) {
      s.scale = plan.tensors[static_cast<std::size_t>(s.terms.front().source)].scale;
      continue;
    }
    const bool square = s.kind == Kind::square;
    s.scale = plan::sum_scale(s, {plan::levels_of(plan, s), primes}, result);
    const auto row_factor = [&](std::size_t o) { return std::exp2(square ? rows[o] / 2 : rows[o]); };
    for (plan::Term& t : s.terms) {
      const auto& columns = factor[static_cast<std::size_t>(t.source)];
      const plan::Layout& in = plan.tensors[static_cast<std::size_t>(t.source)].layout;
      const std::size_t per_pair = circuit::weights_per_pair(t, in);
      circuit::for_each_pair(
          t, in, plan.tensors[static_cast<std::size_t>(s.output)].layout, [&](int o, int i, const double* weights) {
            const double gain =
                row_factor(static_cast<std::size_t>(o)) * std::exp2(-columns[static_cast<std::size_t>(i)]);
            double* w = t.weights.data() + (weights - t.weights.data());
            for (std::size_t k = 0; k < per_pair; ++k) w[k] *= gain;
          });
    }
    const std::size_t each = s.bias.size() / rows.size();
    for (std::size_t k = 0; k < s.bias.size(); ++k) s.bias[k] *= row_factor(k / each);
  }
}

}  // namespace sotto::compiler
