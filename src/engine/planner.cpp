#include "engine/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/text.h"
#include "compiler/probes.h"
#include "plan/cost.h"
#include "plan/simulation.h"

namespace sotto::engine {

namespace {

constexpr int kMostBatch = 65536;
constexpr int kMostRuns = 4;  // of packings with several channels that are tried in place of one with single channels
constexpr int kMostAttempts = 6;
constexpr int kTileRatio = 2;            // images of the next smaller tile
constexpr double kLeastInside = 0.5;     // part of the images, for a prediction
constexpr double kMostSimulated = 2e11;  // multiply-adds of plaintexts, some minutes
// The error of a finer plan, of that of the one before. How far rounded weights err is drawn anew with every plan, so
// that the first attempts cost little more time.
constexpr int kCheapAttempts = 2;
constexpr double kLittleFiner = 0.8, kFiner = 0.5;
constexpr double kCheaplyFiner = 16;     // how much smaller errors are where that takes only seconds
constexpr std::size_t kCloser = 4;       // times as many images, where few leave it open whether labels agree
constexpr double kSavedByRotations = 4;  // more than other rotations may save a packing with several channels
constexpr double kWorthwhile = 0.95;     // time that a second packing, with keys of its own, must not exceed

std::string bytes(std::uint64_t n) { return format_bytes(static_cast<double>(n)); }

// Halfway from the agreement that is asked for to all labels: predictions have errors, too.
double aim_of(double agreement) { return agreement + (1 - agreement) / 2; }
// What is made for the aim is predicted on either side of it, as errors are drawn: only what falls short of this is
// made finer, which costs levels.
double enough_of(double agreement) { return agreement + (1 - agreement) * 3 / 8; }

}  // namespace

double Planner::Packing::seconds_for(int images) const {
  return seconds * ((images + batch - 1) / batch);  // NOLINT(bugprone-integer-division): whole runs
}

Planner::Planner(MeasuredNetwork network, PlannerOptions options, compiler::PlanningHooks hooks)
    : network_(std::move(network)), options_(options), hooks_(std::move(hooks)) {}

Planner::Packing Planner::packing(const compiler::Options& options, const plan::Plan& plan) const {
  Packing p{options, plan.batch};
  const plan::Cost cost = plan::estimate(plan, available_threads(), options_.memory);
  const std::uint64_t most = options_.memory != 0 ? options_.memory : total_memory();
  p.seconds = cost.seconds(plan::kTypicalSpeed);
  p.least_bytes = cost.least_bytes;
  p.fits = most == 0 || cost.least_bytes <= most;
  return p;
}

// One channel per ciphertext, with others in the gaps of its maps where that is faster.
Planner::Packing Planner::single_channels(compiler::Options options) const {
  const std::optional<plan::Plan> plan = compiler::outline(network_.circuit, options);
  if (!plan) {
    (void)compiler::compile(network_.circuit, options);  // says why there is none
    internal_error("a packing that compiles has no outline");
  }
  const Packing apart = packing(options, *plan);
  if (!compiler::has_gaps(network_.circuit, options)) return apart;
  options.fill = true;
  const std::optional<plan::Plan> filled = compiler::outline(network_.circuit, options);
  if (!filled) return apart;
  const Packing together = packing(options, *filled);
  return std::pair(!together.fits, together.seconds) < std::pair(!apart.fits, apart.seconds) ? together : apart;
}

// Every packing worth a look, with no more precision than comes for nothing: each with single channels holds twice
// the images of the one before, until one that holds all images is no faster than the one before, or strides do not fit
// any more; several channels per ciphertext are for few images, or few left over.
std::vector<Planner::Packing> Planner::packings(int images) const {
  std::vector<Packing> list;
  compiler::Options options;
  options.precise = options_.precise;
  options.security = options_.security;
  for (;;) {
    options.batch = list.empty() ? 1 : list.back().batch + 1;
    hooks_.stage("packings", 0, fmt::format("batches of {}", options.batch));
    if (options.batch > kMostBatch) break;
    const Packing next = single_channels(options);
    if (!list.empty() && next.batch == list.back().batch) break;
    list.push_back(next);
    const Packing& last = list.back();
    if (last.batch >= images && list.size() > 1 && last.seconds >= list[list.size() - 2].seconds_for(images)) break;
  }
  const int single = list.front().batch;
  int few = images;
  for (const Packing& p : list)
    if (images % p.batch != 0) few = std::min(few, images % p.batch);
  // Seconds of a run beyond which other rotations would not make a packing the fastest one.
  const auto worth_a_look = [&](int batch) {
    const auto most = [&](int count) {
      double least = HUGE_VAL;
      for (const Packing& p : list) least = std::min(least, p.seconds_for(count));
      return kSavedByRotations * least /
             ((count + batch - 1) / batch);  // NOLINT(bugprone-integer-division): whole runs
    };
    return std::max(most(images), most(few));
  };
  for (options.group = 2; options.group <= plan::kMaxGroup; options.group *= 2) {
    hooks_.stage("packings", 0.5, fmt::format("{} channels per ciphertext", options.group));
    // From the largest tile to the first one that holds them.
    for (int batch = single / options.group; batch >= 1 && batch < kTileRatio * few; batch *= kTileRatio) {
      options.batch = batch;
      if (batch * kMostRuns < few) continue;
      const std::optional<plan::Plan> plan = compiler::outline(network_.circuit, options, worth_a_look);
      if (!plan || plan->batch < batch) break;  // strides do not fit smaller tiles
      list.push_back(packing(options, *plan));
    }
  }
  return list;
}

// Those that memory has room for, the fastest for so many images first; without a limit set by the user at least the
// smallest one.
std::vector<Planner::Packing> Planner::by_time(std::vector<Packing> list, int images) const {
  // Of few images several channels fit a ciphertext, which may take less.
  const bool grouped = std::ranges::any_of(list, [](const Packing& p) { return p.options.group > 1; });
  const Packing smallest = *std::ranges::min_element(list, {}, &Packing::least_bytes);
  std::erase_if(list, [](const Packing& p) { return !p.fits; });
  if (list.empty() && options_.memory != 0)
    throw Error(
        ErrorCode::no_resources,
        fmt::format(
            "even the smallest packing, for runs of up to {} images, needs about {}, the limit is {}; give it more{}",
            smallest.batch, bytes(smallest.least_bytes), bytes(options_.memory),
            grouped ? "" : ", or plan for fewer images"),
        Setting::memory);
  if (list.empty()) return {smallest};
  std::ranges::stable_sort(list, {}, [&](const Packing& p) { return p.seconds_for(images); });
  return list;
}

// The plan of a packing with the precision that the labels need, or the one that comes closest, and its prediction.
compiler::Compiled Planner::refined(const Packing& packing) const {
  const std::size_t images = network_.calibration.images.size();
  const double aim = aim_of(options_.agreement), enough = enough_of(options_.agreement);
  compiler::Options options = packing.options;
  options.score_error = network_.reference.score_error_for(aim);
  options.cheap_score_error = options.score_error / kCheaplyFiner;
  std::optional<compiler::Compiled> best;
  for (int attempt = 0;; ++attempt) {
    hooks_.stage("precision");
    compiler::Compiled compiled = compiler::compile(network_.circuit, options);
    const auto progress = hooks_.images("prediction", images);
    compiled.plan.prediction =
        too_large_to_simulate(compiled.plan)
            ? compiler::predict_by_variances(compiled, network_.calibration, network_.reference, progress)
            : compiler::predict(compiled.plan, network_.calibration, network_.reference, progress);
    compiled.plan.prediction.promised = options_.agreement;
    if (network_.faint_error > 0)  // encryption errs beside the polynomials
      compiled.plan.prediction.faint_error = std::hypot(network_.faint_error, compiled.plan.prediction.score_error);
    if (compiled.plan.prediction.label_agreement < enough) look_closer(compiled);
    const bool used_up = compiled.score_error > options.score_error;  // the modulus
    const double agreement = compiled.plan.prediction.label_agreement;
    if (!best || agreement > best->plan.prediction.label_agreement) best = std::move(compiled);
    if (agreement >= enough || attempt == kMostAttempts || (used_up && options.precise)) return std::move(*best);
    if (used_up)
      options.precise = true;
    else
      options.score_error *= attempt < kCheapAttempts ? kLittleFiner : kFiner;
  }
}

bool Planner::too_large_to_simulate(const plan::Plan& plan) const {
  return plan::simulation_work(plan, network_.calibration.images.size()) > kMostSimulated;
}

bool Planner::measured(const plan::Prediction& p) const {
  return static_cast<double>(p.images) >= kLeastInside * static_cast<double>(network_.calibration.images.size());
}

bool Planner::serves(const compiler::Compiled& compiled) const {
  const plan::Prediction& p = compiled.plan.prediction;
  return measured(p) && p.label_agreement >= options_.agreement;
}

// Made-up images cost nothing: one among a few neither makes a plan finer nor has a network refused.
void Planner::look_closer(compiler::Compiled& compiled) const {
  plan::Prediction& p = compiled.plan.prediction;
  const auto images = network_.calibration.images.size();
  const double of_one = 1 / static_cast<double>(images);
  if (!network_.calibration.made_up || !measured(p) || p.label_agreement + of_one < options_.agreement ||
      plan::simulation_work(compiled.plan, kCloser * images) > kMostSimulated)
    return;
  const compiler::Calibration more = compiler::made_up_calibration(compiled.plan.io, (kCloser * images + 1) / 2);
  const compiler::Reference reference =
      compiler::reference_of(network_.network, more, hooks_.images("float model", more.images.size()));
  plan::Prediction closer =
      compiler::predict(compiled.plan, more, reference, hooks_.images("prediction", more.images.size()));
  if (static_cast<double>(closer.images) < kLeastInside * static_cast<double>(more.images.size())) return;
  closer.promised = p.promised;
  closer.faint_error = p.faint_error;
  p = closer;
}

void Planner::refuse(const compiler::Compiled& compiled) const {
  const bool made_up = network_.calibration.made_up;
  const std::size_t images = network_.calibration.images.size();
  if (const plan::Prediction& p = compiled.plan.prediction; !measured(p))
    throw Error(ErrorCode::no_resources,
                fmt::format("the values of {} of {} {}images leave the ranges of its activations, so there is no "
                            "telling how many labels agree; {}",
                            images - static_cast<std::size_t>(p.images), images, made_up ? "made-up " : "",
                            made_up ? "measure on real ones" : "state larger ranges, or none, in the model"),
                made_up ? Setting::calibration : Setting::none);
  if (const double ties = network_.reference.ties(); !made_up && ties > 1 - options_.agreement)
    throw Error(
        ErrorCode::no_resources,
        fmt::format("only {:.2f} % of the labels are predicted to agree with the float network, {:g} % are asked "
                    "for: it gives {:.2g} % of the images equal best scores, as a Clip or Relu behind the scores "
                    "does, and rounding decides which is taken; leave that out, or allow fewer labels to agree",
                    100 * compiled.plan.prediction.label_agreement, 100 * options_.agreement, 100 * ties),
        Setting::agreement);
  throw Error(
      ErrorCode::no_resources,
      fmt::format("only {:.2f} % of the labels are predicted to agree with the float network, {:g} % are asked "
                  "for: layer '{}' errs most; {}",
                  100 * compiled.plan.prediction.label_agreement, 100 * options_.agreement, compiled.worst().name,
                  made_up ? "this was measured on made-up images, real ones tell more"
                          : "retrain it with smaller values, or allow fewer labels to agree"),
      made_up ? Setting::calibration : Setting::agreement);
}

plan::Plan Planner::finished(compiler::Compiled compiled) const {
  if (hooks_.note && too_large_to_simulate(compiled.plan))
    hooks_.note(compiled.plan.network +
                " is too large for its plaintexts to be tried out: the prediction draws the errors of its weights");
  compiler::measure_probes(compiled.plan, network_.calibration);
  return std::move(compiled.plan);
}

// What precision takes can outgrow the limit of memory, which the packing kept to before.
bool Planner::fits(const plan::Plan& plan) const {
  return options_.memory == 0 ||
         plan::estimate(plan, available_threads(), options_.memory).least_bytes <= options_.memory;
}

// The fastest of these packings once it has the precision that its labels need: of each kind, single channels or
// several, the first one that has room. Precision costs the kinds differently, and what limits that of one packing
// limits all of its kind.
plan::Plan Planner::fastest_that_serves(const std::vector<Packing>& list, int images) const {
  std::optional<compiler::Compiled> best, short_of_labels, short_of_memory;
  double least = HUGE_VAL;
  std::array<bool, 2> tried{};
  for (const Packing& packing : list) {
    bool& kind_tried = tried[packing.options.group > 1 ? 1 : 0];
    if (kind_tried || packing.seconds_for(images) >= least) continue;
    compiler::Compiled compiled = refined(packing);
    if (!fits(compiled.plan)) {
      short_of_memory = std::move(compiled);
      continue;
    }
    kind_tried = true;
    if (!serves(compiled)) {
      if (!short_of_labels) short_of_labels = std::move(compiled);
      continue;
    }
    const double seconds = this->packing(packing.options, compiled.plan).seconds_for(images);
    if (seconds >= least) continue;
    least = seconds;
    best = std::move(compiled);
  }
  if (best) return finished(std::move(*best));
  if (short_of_labels) refuse(*short_of_labels);
  const plan::Plan& last = short_of_memory->plan;
  throw Error(ErrorCode::no_resources,
              fmt::format("with the precision that its labels need, runs of {} images take about {}, the limit is {}; "
                          "give it more",
                          last.batch, bytes(plan::estimate(last, available_threads(), options_.memory).least_bytes),
                          bytes(options_.memory)),
              Setting::memory);
}

plan::Plan Planner::plan(int images) const { return fastest_that_serves(by_time(packings(images), images), images); }

std::vector<Part> Planner::parts(int images) const {
  const std::vector<Packing> all = packings(images), alone = by_time(all, images);
  std::optional<std::pair<Packing, Packing>> mixed;  // full runs, and the rest
  double least = alone.front().seconds_for(images) * kWorthwhile;
  for (const Packing& bulk : alone) {
    const int left = images % bulk.batch;
    if (bulk.batch > images || left == 0) continue;
    const Packing rest = by_time(all, left).front();
    const double seconds = bulk.seconds_for(images - left) + rest.seconds_for(left);
    if (seconds >= least) continue;
    least = seconds;
    mixed = {bulk, rest};
  }
  const auto count = static_cast<std::size_t>(images);
  if (mixed) {
    compiler::Compiled bulk = refined(mixed->first), rest = refined(mixed->second);
    const std::size_t left = count % static_cast<std::size_t>(bulk.plan.batch);
    if (serves(bulk) && serves(rest) && fits(bulk.plan) && fits(rest.plan))
      return {{finished(std::move(bulk)), count - left}, {finished(std::move(rest)), left}};
  }
  return {{fastest_that_serves(alone, images), count}};
}

}  // namespace sotto::engine
