#include "plan/simulation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/normal_draws.h"
#include "base/parallel.h"
#include "bootstrap/bootstrap_spec.h"
#include "plan/grouped_plaintexts.h"
#include "plan/noise.h"
#include "plan/plaintexts.h"
#include "plan/products.h"
#include "plan/weighted_copies.h"

namespace sotto::plan {

namespace {

// Of a point of a transform, against a multiply-add: it is complex, and its memory lies further apart.
constexpr double kTransformWork = 4;
// Weights by slot that are in memory at once: a plaintext can have as many as a ciphertext has slots.
constexpr std::size_t kCopiesAtOnce = 16;
// Where the numbers of rotations that spread a value begin, behind those that sum a tile.
constexpr int kSpreadErrors = 1 << 10;

// The slots of one ciphertext that belong to an image, for one image after the other.
using Slots = std::vector<double>;
// A feature map: phase by phase, its blocks of channels.
using Map = std::vector<Slots>;

// What an error is drawn for: the same for the same seed, whatever thread comes first.
struct Draw {
  enum class What : std::uint32_t { result, copies, rotation, sum } what;
  int tensor;
  std::size_t ciphertext;
  int number = 0;  // of a rotation
};

// The errors of the rotated copies that a sum reads: variances by slot, which repeat.
class CopyErrors {
 public:
  // weights: of one column, in units in which a copy errs by `deviation`; one stands for all slots, and they repeat.
  void add(std::span<const double> weights, double deviation) {
    if (variances_.size() < weights.size()) {
      const std::vector<double> few = std::exchange(variances_, std::vector<double>(weights.size()));
      for (std::size_t p = 0; p < variances_.size() && !few.empty(); ++p) variances_[p] = few[p % few.size()];
    }
    for (std::size_t p = 0; p < variances_.size(); ++p)
      variances_[p] += std::pow(weights[p % weights.size()] * deviation, 2);
  }
  [[nodiscard]] std::vector<double> deviations() const {
    std::vector<double> all;
    for (double v : variances_) all.push_back(std::sqrt(v));
    return all;
  }

 private:
  std::vector<double> variances_;
};

class Simulator {
 public:
  Simulator(const Plan& plan, std::span<const std::vector<double>> images, std::uint64_t seed,
            const SimulationHooks& hooks);
  Simulated run();

 private:
  [[nodiscard]] const Tensor& tensor(int t) const { return plan_.tensors[static_cast<std::size_t>(t)]; }
  [[nodiscard]] const Slots& source(const Source& s, int block) const {
    const auto at = static_cast<std::size_t>(s.phase * tensor(s.tensor).layout.blocks() + block);
    return maps_[static_cast<std::size_t>(s.tensor)][at];
  }
  [[nodiscard]] std::size_t ciphertext_of(const Task& task, int block) const {
    const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
    return static_cast<std::size_t>(task.phase * tensor(step.output).layout.blocks() + block);
  }
  void set_input();
  void run_step(std::size_t s, std::span<const Task> tasks);
  [[nodiscard]] Slots single_sum(const TaskPlaintexts& plaintexts, const Task& task, int o) const;
  [[nodiscard]] Slots grouped_sum(const Task& task, int block) const;
  void add_rotations(CopyErrors& errors, std::span<const double> weights, const Tap& tap) const;
  void add_bias(Slots& sum, std::span<const double> bias) const;
  [[nodiscard]] Slots rotated(const Slots& values, std::int64_t rotation) const;
  void finish(const Step& step, std::size_t ciphertext, Slots& values);
  void bound(const Slots& values, double range);
  void activate(const Step& step, Slots& values);
  void disturb(Slots& values, std::span<const double> deviations, const Draw& draw) const;
  void disturb(Slots& values, double deviation, const Draw& draw) const;
  void sum_tile(const Step& step, Slots& values, std::size_t ciphertext, int direction) const;
  [[nodiscard]] std::vector<std::vector<double>> values(int tensor);
  template <class F>
  void for_each_pixel(const Layout& layout, std::size_t ciphertext, F f) const;
  template <class F>
  void for_each_value(const Layout& layout, Map& map, F f) const;
  void release(std::size_t step);

  const Plan& plan_;
  std::span<const std::vector<double>> images_;
  std::uint64_t seed_;
  const SimulationHooks& hooks_;
  Schedule schedule_;
  std::vector<std::uint64_t> primes_;
  double division_;    // error in slots, standard deviation
  std::size_t slots_;  // of one image
  ImageSlots at_;
  std::vector<Map> maps_;
  std::vector<std::size_t> last_use_;  // of a tensor: a step
  std::optional<Plaintexts> single_;
  std::optional<GroupedPlaintexts> grouped_;
  std::mutex mutex_;
  std::size_t done_ = 0;  // tasks
  std::vector<bool> inside_;
};

Simulator::Simulator(const Plan& plan, std::span<const std::vector<double>> images, std::uint64_t seed,
                     const SimulationHooks& hooks)
    : plan_(plan),
      images_(images),
      seed_(seed),
      hooks_(hooks),
      schedule_(make_schedule(plan)),
      primes_(ckks::primes_of(plan.parameters)),
      division_(NoiseModel::rounding(plan.parameters.log_n)),
      slots_(static_cast<std::size_t>(plan.period())),
      at_{images.size(), slots_, plan.batch == 1},
      maps_(plan.tensors.size()),
      last_use_(plan.tensors.size(), plan.steps.size()),
      inside_(images.size(), true) {
  for (std::size_t s = 0; s < plan.steps.size(); ++s)
    for (const Term& t : plan.steps[s].terms) last_use_[static_cast<std::size_t>(t.source)] = s;
  if (plan.group() == 1) single_.emplace(plan);
  if (plan.group() > 1 || std::ranges::any_of(plan.steps, [&](const Step& s) { return fills_gaps(plan, s); }))
    grouped_.emplace(plan);
}

// Calls f(index [c][h][w], slot) for the pixels in a ciphertext, for every place that repeats a channel, too.
template <class F>
void Simulator::for_each_pixel(const Layout& layout, std::size_t ciphertext, F f) const {
  const int block = static_cast<int>(ciphertext) % layout.blocks(),
            phase = static_cast<int>(ciphertext) / layout.blocks();
  for (int y = 0; y < layout.height; ++y) {
    for (int x = 0; x < layout.width; ++x) {
      const Place at = place_of(layout, plan_.tile, y, x);
      if (at.phase != phase) continue;
      for (int place = 0; place < layout.together(); ++place) {
        const int c = layout.channel_at(block, place);
        if (c >= 0)
          f((static_cast<std::size_t>(c) * layout.height + y) * layout.width + x,
            static_cast<std::size_t>(packing::offset_of(layout, plan_.tile, place) + at.position));
      }
    }
  }
}

// Calls f(image, index [c][h][w], value) for all values of a map.
template <class F>
void Simulator::for_each_value(const Layout& layout, Map& map, F f) const {
  for (std::size_t c = 0; c < map.size(); ++c)
    for_each_pixel(layout, c, [&](std::size_t index, std::size_t slot) {
      for (std::size_t k = 0; k < images_.size(); ++k) f(k, index, map[c][k * slots_ + slot]);
    });
}

void Simulator::set_input() {
  const Layout& layout = plan_.input().layout;
  const std::size_t size = static_cast<std::size_t>(layout.channels) * layout.height * layout.width;
  for (const auto& image : images_) check(image.size() == size, "image of another size");
  Map& map = maps_.front();
  map.assign(static_cast<std::size_t>(layout.ciphertexts()), Slots(images_.size() * slots_));
  for_each_value(layout, map, [&](std::size_t k, std::size_t index, double& value) { value = images_[k][index]; });
  const double deviation = NoiseModel::encryption(plan_.parameters.log_n) / plan_.input().scale;
  for (std::size_t k = 0; k < map.size(); ++k) disturb(map[k], deviation, {Draw::What::result, 0, k});
}

// deviations: by slot; they repeat.
void Simulator::disturb(Slots& values, std::span<const double> deviations, const Draw& draw) const {
  if (std::ranges::all_of(deviations, [](double d) { return d == 0; })) return;
  for_each_image(at_, [&](std::size_t image) {
    NormalDraws normal{seed_,
                       static_cast<std::uint64_t>(draw.what),
                       static_cast<std::uint64_t>(draw.tensor),
                       static_cast<std::uint64_t>(draw.ciphertext),
                       static_cast<std::uint64_t>(draw.number),
                       image};
    double* const v = values.data() + image * slots_;
    for (std::size_t p = 0, k = 0; p < slots_; ++p, k = k + 1 == deviations.size() ? 0 : k + 1)
      v[p] += deviations[k] * normal();
  });
}

void Simulator::disturb(Slots& values, double deviation, const Draw& draw) const {
  disturb(values, std::array{deviation}, draw);
}

void Simulator::add_bias(Slots& sum, std::span<const double> bias) const {
  for_each_image(at_, [&](std::size_t image) {
    double* const v = sum.data() + image * slots_;
    for (std::size_t p = 0, k = 0; p < slots_; ++p, k = k + 1 == bias.size() ? 0 : k + 1) v[p] += bias[k];
  });
}

Slots Simulator::rotated(const Slots& values, std::int64_t rotation) const {
  Slots out(values.size());
  add_copies(out, std::array{WeightedCopy{{1.0}, &values, rotation}}, at_);
  return out;
}

// The slots of integer coefficients, in units of `unit`.
std::vector<double> slots_of(const ckks::Encoder& encoder, std::span<const double> coefficients, double unit) {
  if (coefficients.size() == 1) return {coefficients[0] * unit};
  std::vector<double> slots;
  for (const std::complex<double>& v : encoder.embed(coefficients)) slots.push_back(v.real() * unit);
  return slots;
}

// What the rotations of a tap's source err by.
void Simulator::add_rotations(CopyErrors& errors, std::span<const double> weights, const Tap& tap) const {
  const int rotations = rotations_of(plan_, tap);
  if (rotations > 0) errors.add(weights, std::sqrt(rotations) * division_ / tensor(tap.source.tensor).scale);
}

Slots Simulator::single_sum(const TaskPlaintexts& plaintexts, const Task& task, int o) const {
  const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  Slots sum(at_.all());
  std::vector<WeightedCopy> copies;
  const std::vector<Column> columns = plaintexts.columns(static_cast<std::size_t>(o));
  const auto rows = plaintexts.row(static_cast<std::size_t>(o), columns);
  CopyErrors errors;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (rows[c].size() == 1 && rows[c][0] == 0) continue;
    if (columns[c].tap < 0) {
      add_bias(sum, slots_of(single_->encoder(), rows[c], 1 / step.scale));
      continue;
    }
    const Tap& tap = task.taps[static_cast<std::size_t>(columns[c].tap)];
    copies.push_back({slots_of(single_->encoder(), rows[c], tensor(tap.source.tensor).scale / step.scale),
                      &source(tap.source, columns[c].channel), tap.source.rotation});
    add_rotations(errors, copies.back().weights, tap);
  }
  add_copies(sum, copies, at_);
  disturb(sum, errors.deviations(), {Draw::What::copies, step.output, ciphertext_of(task, o)});
  return sum;
}

Slots Simulator::grouped_sum(const Task& task, int block) const {
  const Step& step = plan_.steps[static_cast<std::size_t>(task.step)];
  const std::int64_t rotation = giant_rotation(plan_, step);
  const std::size_t ciphertext = ciphertext_of(task, block);
  const ckks::Encoder& encoder = grouped_->encoder(step_period(plan_, step));
  const auto add_sum = [&](Slots& sum, int giant) {
    const GroupedPlaintexts::Sum plaintexts = grouped_->of(task, block, giant);
    std::vector<WeightedCopy> copies;
    CopyErrors errors;
    for (const GroupedPlaintexts::Column& c : plaintexts.columns) {
      const Tap& tap = task.taps[static_cast<std::size_t>(c.tap)];
      const Source& from = tap.source;
      copies.push_back({slots_of(encoder, c.coefficients, tensor(from.tensor).scale / step.scale),
                        &source(from, c.block), from.rotation});
      add_rotations(errors, copies.back().weights, tap);
      if (copies.size() < kCopiesAtOnce) continue;
      add_copies(sum, copies, at_);
      copies.clear();
    }
    add_copies(sum, copies, at_);
    if (!plaintexts.bias.empty()) add_bias(sum, slots_of(encoder, plaintexts.bias, 1 / step.scale));
    disturb(sum, errors.deviations(), {Draw::What::copies, step.output, ciphertext, giant});
  };
  const auto turn = [&](Slots& sum, int giant) {
    sum = rotated(sum, giant > 0 ? rotation : -rotation);
    disturb(sum, division_ / step.scale, {Draw::What::rotation, step.output, ciphertext, giant});
  };
  Slots sum(at_.all()), below = sum;
  if (!task.giants.empty()) {
    for (int way : task.giants) {
      Slots one(at_.all());
      add_sum(one, way);
      const Slots moved = rotated(one, way);
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += moved[k];
    }
    if (task.giants.size() > 1) disturb(sum, division_ / step.scale, {Draw::What::rotation, step.output, ciphertext});
    return sum;
  }
  for (int g = task.last_giant; g > 0; --g) {
    add_sum(sum, g);
    turn(sum, g);
  }
  for (int g = task.first_giant; g < 0; ++g) {
    add_sum(below, g);
    turn(below, g);
  }
  add_sum(sum, 0);
  for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += below[k];
  return sum;
}

// Takes note of the images that have a value beyond a range, in slots without a pixel, too: there they spoil as much.
void Simulator::bound(const Slots& values, double range) {
  std::vector<bool> outside(images_.size());
  for (std::size_t k = 0; k < values.size(); ++k)
    if (!(std::abs(values[k]) <= range)) outside[k / slots_] = true;
  const std::scoped_lock lock(mutex_);
  for (std::size_t k = 0; k < outside.size(); ++k)
    if (outside[k]) inside_[k] = false;
}

void Simulator::activate(const Step& step, Slots& values) {
  bound(values, step.activation.range);
  // Outside a polynomial's range there is nothing to learn, and powers of it would be no numbers.
  for (double& v : values) v = step.activation(std::clamp(v, -step.activation.range, step.activation.range));
}

void Simulator::finish(const Step& step, std::size_t ciphertext, Slots& values) {
  const Tensor& out = tensor(step.output);
  double deviation = division_ / out.scale;
  switch (step.kind) {
    case Kind::square:
      if (step.early > 0)
        disturb(values, division_ * Divisors(levels_of(plan_, step), primes_).early / step.scale,
                {Draw::What::sum, step.output, ciphertext});
      for (double& v : values) v *= v;
      break;
    case Kind::activate:
      activate(step, values);
      break;
    case Kind::multiply:
      break;
    case Kind::bootstrap:
      bound(values, plan_.bootstrapping->input_peak / bootstrap::kMessageRatio / step.scale);
      deviation = std::hypot(deviation, NoiseModel::bootstrap() * plan_.bootstrapping->input_peak / step.scale);
      break;
    case Kind::sum:
      if (step.late == 0) deviation = 0;
      break;
  }
  disturb(values, deviation, {Draw::What::result, step.output, ciphertext});
}

// Every slot becomes the sum over as many slots as a tile has, itself the first (direction 1) or the last one (-1).
void Simulator::sum_tile(const Step& step, Slots& values, std::size_t ciphertext, int direction) const {
  int number = direction < 0 ? kSpreadErrors : 0;
  for (std::int64_t r : sum_rotations(plan_.tile.area())) {
    Slots other = rotated(values, direction * r);
    disturb(other, division_ / step.scale, {Draw::What::rotation, step.output, ciphertext, ++number});
    for (std::size_t j = 0; j < values.size(); ++j) values[j] += other[j];
  }
}

void Simulator::run_step(std::size_t s, std::span<const Task> tasks) {
  const Step& step = plan_.steps[s];
  const auto blocks = static_cast<std::size_t>(tensor(step.output).layout.blocks());
  std::vector<std::optional<TaskPlaintexts>> plaintexts(tasks.size());
  const bool alone = single_ && !fills_gaps(plan_, step);  // channels
  if (alone && !step.slotwise())
    parallel_for(tasks.size(), [&](std::size_t t) { plaintexts[t].emplace(*single_, tasks[t]); });
  Map map(tasks.size() * blocks);
  parallel_for(map.size(), [&](std::size_t k) {
    const Task& task = tasks[k / blocks];
    const int block = static_cast<int>(k % blocks);
    Slots values;
    if (step.slotwise())
      values = source(task.taps.front().source, block);
    else
      values = alone ? single_sum(*plaintexts[k / blocks], task, block) : grouped_sum(task, block);
    const bool full = std::ranges::any_of(
        task.taps, [&](const Tap& t) { return step.terms[static_cast<std::size_t>(t.term)].kind == Term::Kind::full; });
    const std::size_t ciphertext = ciphertext_of(task, block);
    if (full) sum_tile(step, values, ciphertext, 1);
    if (step.spread) sum_tile(step, values, ciphertext, -1);
    if (step.kind == Kind::multiply) {
      const Slots& factor = source(task.taps.back().source, block);
      for (std::size_t j = 0; j < values.size(); ++j) values[j] *= factor[j];
    }
    finish(step, ciphertext, values);
    map[ciphertext] = std::move(values);
    if (!hooks_.progress) return;
    const std::scoped_lock lock(mutex_);
    hooks_.progress(done_ + k / blocks, schedule_.tasks.size());
  });
  done_ += tasks.size();
  maps_[static_cast<std::size_t>(step.output)] = std::move(map);
}

void Simulator::release(std::size_t step) {
  for (std::size_t t = 0; t < maps_.size(); ++t)
    if (last_use_[t] == step) maps_[t] = {};
}

// The values of a tensor, image by image.
std::vector<std::vector<double>> Simulator::values(int t) {
  const Layout& layout = tensor(t).layout;
  std::vector<std::vector<double>> out(images_.size());
  for (auto& v : out) v.resize(static_cast<std::size_t>(layout.channels) * layout.height * layout.width);
  for_each_value(layout, maps_[static_cast<std::size_t>(t)],
                 [&](std::size_t k, std::size_t index, double value) { out[k][index] = value; });
  return out;
}

Simulated Simulator::run() {
  set_input();
  auto first = schedule_.tasks.begin();
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    const auto last =
        std::find_if(first, schedule_.tasks.end(), [&](const Task& t) { return t.step != static_cast<int>(s); });
    run_step(s, {first, last});
    first = last;
    if (hooks_.observe) {
      const auto images = values(plan_.steps[s].output);
      for (std::size_t k = 0; k < images.size(); ++k) hooks_.observe(plan_.steps[s].output, k, images[k]);
    }
    release(s);
  }
  if (hooks_.progress) hooks_.progress(schedule_.tasks.size(), schedule_.tasks.size());
  return {values(plan_.steps.back().output), inside_};
}

}  // namespace

Simulated simulate(const Plan& plan, std::span<const std::vector<double>> images, std::uint64_t seed,
                   const SimulationHooks& hooks) {
  return Simulator(plan, images, seed, hooks).run();
}

double simulation_work(const Plan& plan, std::size_t images) {
  const auto period = static_cast<double>(plan.period());
  // A plaintext that is no constant is transformed both ways.
  const double made = kTransformWork * std::log2(std::max(period, 64.0)), used = static_cast<double>(images);
  double work = 0;
  for (const Task& task : make_schedule(plan).tasks) {
    const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
    if (plan.group() > 1 || fills_gaps(plan, step)) {
      work += static_cast<double>(task.products) * period * (made + used);
      continue;
    }
    if (step.slotwise()) continue;
    for (const Product& p : products_of(plan, task))
      for (const Product::Columns& c : p.columns) {
        const bool constant = task.taps[static_cast<std::size_t>(c.tap)].mask.empty();
        work += static_cast<double>(c.count) * p.rows * period * (constant ? used : made + used);
      }
  }
  return work;
}

}  // namespace sotto::plan
