#include "cli/planning.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "cli/console.h"
#include "compiler/prediction.h"
#include "compiler/probes.h"
#include "compiler/relu_error.h"
#include "compiler/scales.h"
#include "graph/calibrate.h"
#include "graph/onnx_import.h"
#include "images/image_source.h"
#include "plan/simulation.h"

namespace sotto::cli {

namespace {

constexpr int kDefaultImages = 1024;
constexpr int kMostRuns = 4;                   // that are tried in place of one with single channels
constexpr std::size_t kMostCalibration = 512;  // images
constexpr double kMostWork = 1e10;             // multiply-adds of one pass over the images
constexpr double kLeastImages = 4;
constexpr int kMostAttempts = 4;
constexpr double kMostSimulated = 2e11;  // multiply-adds of plaintexts, some minutes
constexpr double kLeastReluError = 1e-4;
constexpr double kLeastInside = 0.5;  // part of the images, for a prediction
constexpr double kCheaplyFiner = 16;  // how much smaller errors are where that takes only seconds
constexpr double kRangeMargin = 1.5;  // over the largest input of an activation on those
constexpr double kWorthwhile = 0.95;  // time that a second packing, with keys of its own, must not exceed

// Errors of the compiler name the model, as those of the import do.
template <class F>
auto named(const std::string& model, const F& compile) {
  try {
    return compile();
  } catch (const Error& e) {
    throw Error(e.code(), model + ": " + e.what());
  }
}

// Everything that plans of one model are made from.
struct Model {
  graph::Network network;
  compiler::Calibration calibration;
  compiler::Reference reference;
  std::optional<compiler::Statistics> statistics;
  double relu_error = compiler::kReluError;
};

// A number of images that keeps the multiply-adds of one pass over them below kMostWork, at equal distances.
void thin(compiler::Calibration& calibration, const graph::Network& network) {
  const double work = graph::multiply_adds(network);
  const auto most = static_cast<std::size_t>(std::max(kLeastImages, kMostWork / std::max(work, 1.0)));
  const std::size_t stride = (calibration.images.size() + most - 1) / std::max<std::size_t>(most, 1);
  if (stride <= 1) return;
  compiler::Calibration few{{}, {}, calibration.made_up};
  for (std::size_t k = 0; k < calibration.images.size(); k += stride) {
    few.images.push_back(std::move(calibration.images[k]));
    few.room.push_back(calibration.room[k]);
  }
  calibration = std::move(few);
}

// The images that a user gives, at equal distances: a data set may be sorted by class.
std::vector<std::vector<double>> calibration_images(const PlanRequest& request, const plan::Interface& io) {
  const auto images = images::load_images(request.calibrate, io, 0, std::nullopt, {.note = print_note});
  const std::size_t stride = (images.size() + kMostCalibration - 1) / kMostCalibration;
  std::vector<std::vector<double>> values;
  for (std::size_t k = 0; k < images.size(); k += stride) values.push_back(images::preprocess(images[k], io));
  return values;
}

// The largest error of polynomials with which labels are predicted to agree.
void choose_relu_error(Model& model, const PlanRequest& request) {
  model.relu_error = request.relu_error.value_or(compiler::relu_error_for(model.network));
  if (request.relu_error || !graph::has_functions(model.network)) return;
  const auto agreement = [&](double error) {
    ProgressLine line("polynomials");
    line.update(0.0);
    const plan::Plan lowered = compiler::lower_for_statistics(model.network, error);
    if (!compiler::has(lowered, plan::Step::Finish::activate)) return 1.0;
    const auto progress = [&](std::size_t done) { line.update(done, model.calibration.images.size()); };
    return compiler::predict_polynomials(lowered, model.calibration, model.reference, progress).label_agreement;
  };
  const double wanted = request.agreement / 100, aim = wanted + (1 - wanted) / 2;
  model.relu_error = compiler::relu_error_reaching(aim, model.relu_error, kLeastReluError, agreement);
}

Model load(const PlanRequest& request) {
  Model model;
  model.network = graph::import_onnx(request.model);
  for (const std::string& note : model.network.notes) fmt::print(stderr, "note: {}: {}\n", request.model, note);
  const plan::Interface io = compiler::interface_of(model.network);
  if (request.calibrate.empty()) {
    model.calibration = compiler::made_up_calibration(io);
  } else {
    model.calibration = compiler::calibration_from(calibration_images(request, io));
  }
  thin(model.calibration, model.network);
  if (graph::needs_ranges(model.network)) {
    ProgressLine line("ranges");
    line.update(0.0);
    const std::size_t count = model.calibration.images.size();
    const auto largest = named(request.model, [&] {
      return graph::magnitudes(model.network, model.calibration.images,
                               [&](std::size_t done) { line.update(done, count); });
    });
    // What the model states beats what made-up images show.
    graph::set_ranges(model.network, largest, kRangeMargin, model.calibration.made_up);
  }
  const std::size_t images = model.calibration.images.size();
  {
    ProgressLine line("float model");
    line.update(0.0);
    model.reference =
        compiler::reference_of(model.network, model.calibration, [&](std::size_t done) { line.update(done, images); });
  }
  named(request.model, [&] {
    choose_relu_error(model, request);
    ProgressLine line("values");
    line.update(0.0);
    model.statistics = compiler::statistics_of(model.network, model.calibration, model.relu_error,
                                               [&](std::size_t done) { line.update(done, images); });
    return 0;
  });
  return model;
}

compiler::Options options_for(const Model& model, const PlanRequest& request) {
  return {.relu_error = model.relu_error,
          .precise = request.precise,
          .statistics = [&model]() -> const compiler::Statistics& { return *model.statistics; }};
}

// A packing with its predicted cost. Its plan is made again when it is chosen: large networks have millions of weights.
struct Candidate {
  compiler::Options options;
  int batch = 0;
  double seconds = 0;  // of a run
  std::uint64_t least_bytes = 0;
  bool fits = true;

  [[nodiscard]] double seconds_for(int images) const {
    return seconds * ((images + batch - 1) / batch);  // NOLINT(bugprone-integer-division): whole runs
  }
};

int images_of(const PlanRequest& request) { return request.images == 0 ? kDefaultImages : request.images; }

// Most memory of a plan. Without a word from the user no plan may need more than this machine has, if a smaller one
// exists.
std::uint64_t most_memory(const PlanRequest& request) {
  return request.memory.empty() ? total_memory() : parse_bytes(request.memory);
}

Candidate candidate(const compiler::Options& options, const plan::Plan& plan, const PlanRequest& request) {
  Candidate c{options, plan.batch};
  const std::uint64_t limit = request.memory.empty() ? 0 : parse_bytes(request.memory), most = most_memory(request);
  const plan::Cost cost = plan::estimate(plan, static_cast<int>(std::thread::hardware_concurrency()), limit);
  c.seconds = cost.seconds(plan::kTypicalSpeed);
  c.least_bytes = cost.least_bytes;
  c.fits = most == 0 || cost.least_bytes <= most;
  return c;
}

// A packing with several channels per ciphertext, if the network fits one.
std::optional<plan::Plan> grouped(const graph::Network& network, const compiler::Options& options) {
  try {
    return compiler::compile(network, options).plan;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::bad_input && e.code() != ErrorCode::no_resources) throw;
    return std::nullopt;
  }
}

// Every packing worth a look, with no more precision than comes for nothing: each with single channels holds four times
// the images of the one before, until one that holds all images is no faster than the one before, or strides do not fit
// any more; several channels per ciphertext are for few images, or few left over.
std::vector<Candidate> candidates(const Model& model, const PlanRequest& request) {
  const int images = images_of(request);
  ProgressLine line("packings");
  std::vector<Candidate> list;
  compiler::Options options = options_for(model, request);
  for (;;) {
    line.update(0.0, "batches of " + std::to_string(options.batch = list.empty() ? 1 : list.back().batch + 1));
    if (options.batch > 65536) break;
    const plan::Plan plan = named(request.model, [&] { return compiler::compile(model.network, options).plan; });
    if (!list.empty() && plan.batch == list.back().batch) break;
    list.push_back(candidate(options, plan, request));
    const Candidate& last = list.back();
    if (last.batch >= images && list.size() > 1 && last.seconds >= list[list.size() - 2].seconds_for(images)) break;
  }
  const int single = list.front().batch;
  int few = images;
  for (const Candidate& c : list)
    if (images % c.batch != 0) few = std::min(few, images % c.batch);
  options.batch = 1;
  for (options.group = 2;
       options.group <= std::min(single, plan::kMaxGroup) && few * options.group <= single * kMostRuns;
       options.group *= 2) {
    line.update(0.5, std::to_string(options.group) + " channels per ciphertext");
    if (const auto plan = grouped(model.network, options)) list.push_back(candidate(options, *plan, request));
  }
  return list;
}

// What the user should know of a plan beside its numbers.
void add_notes(const plan::Plan& plan, const PlanRequest& request) {
  if (!request.precise) return;
  if (!plan.refresh)
    print_note("--precise changes nothing: no value of " + request.model + " is bootstrapped");
  else if (plan.group() > 1)
    print_note("--precise changes nothing: with several channels per ciphertext squares have an extra prime anyway");
  else if (!compiler::has(plan, plan::Step::Finish::square))
    print_note("--precise changes nothing: " + request.model + " has no squares, only activations of other kinds");
}

// The plan of a packing with the precision that the labels need, and the prediction that they get it.
plan::Plan refine(Candidate c, const Model& model, const PlanRequest& request) {
  const double wanted = request.agreement / 100, aim = wanted + (1 - wanted) / 2;
  const std::size_t images = model.calibration.images.size();
  c.options.score_error = model.reference.score_error_for(aim);
  c.options.cheap_score_error = c.options.score_error / kCheaplyFiner;
  for (int attempt = 0;; ++attempt) {
    compiler::Compiled compiled = [&] {
      ProgressLine line("precision");
      line.update(0.0);
      return named(request.model, [&] { return compiler::compile(model.network, c.options); });
    }();
    const bool drawn = plan::simulation_work(compiled.plan, images) > kMostSimulated;
    ProgressLine line("prediction");
    const auto progress = [&](std::size_t done) { line.update(done, images); };
    compiled.plan.prediction =
        drawn ? compiler::predict_by_variances(compiled, model.calibration, model.reference, progress)
              : compiler::predict(compiled.plan, model.calibration, model.reference, progress);
    compiled.plan.prediction.promised = wanted;
    const plan::Prediction& p = compiled.plan.prediction;
    if (static_cast<double>(p.images) < kLeastInside * static_cast<double>(images))
      throw Error(ErrorCode::no_resources,
                  fmt::format("{}: the values of {} of {} {}images leave the ranges of its activations, so there is no "
                              "telling how many labels agree; {}",
                              request.model, images - static_cast<std::size_t>(p.images), images,
                              model.calibration.made_up ? "made-up " : "",
                              model.calibration.made_up ? "measure on real ones (--calibrate SRC)"
                                                        : "state larger ranges, or none, in the model"));
    const bool kept = p.label_agreement >= aim;
    if (kept || attempt == kMostAttempts || (c.options.precise && compiled.score_error > c.options.score_error)) {
      if (drawn)
        print_note(request.model +
                   " is too large for its plaintexts to be tried out: the prediction draws the errors of its weights");
      compiler::measure_probes(compiled.plan, model.calibration);
      if (p.label_agreement >= wanted) {
        add_notes(compiled.plan, request);
        return std::move(compiled.plan);
      }
      throw Error(ErrorCode::no_resources,
                  fmt::format("{}: only {:.2f} % of the labels are predicted to agree with the float network, "
                              "--agreement asks for {:g}: layer '{}' errs most; {}",
                              request.model, 100 * p.label_agreement, request.agreement, compiled.worst().name,
                              model.calibration.made_up
                                  ? "this was measured on made-up images, --calibrate SRC measures on real ones"
                                  : "retrain it with smaller values, or allow fewer labels to agree"));
    }
    if (compiled.score_error > c.options.score_error)
      c.options.precise = true;  // the modulus is used up
    else
      c.options.score_error /= 2;
  }
}

// The candidate that serves so many images in the least time.
const Candidate& best_of(const std::vector<Candidate>& list, int images, const std::string& memory) {
  const Candidate *best = nullptr, *smallest = &list.front();
  for (const Candidate& c : list) {
    if (c.least_bytes < smallest->least_bytes) smallest = &c;
    if (c.fits && (best == nullptr || c.seconds_for(images) < best->seconds_for(images))) best = &c;
  }
  if (best != nullptr) return *best;
  if (memory.empty()) return *smallest;
  throw Error(ErrorCode::no_resources,
              fmt::format("even a batch of {} needs about {}, --memory allows {}; give it more", smallest->batch,
                          format_bytes(static_cast<double>(smallest->least_bytes)),
                          format_bytes(static_cast<double>(parse_bytes(memory)))));
}

}  // namespace

void add_plan_options(CLI::App& verb, PlanRequest& request) {
  verb.add_option(
          "--batch", request.images,
          "Images that a run will have: the packing is the fastest for so many (default 1024; evaluate: its images)")
      ->check(CLI::Range(1, 65536));
  verb.add_option("--agreement", request.agreement,
                  "Percent of the labels that must be predicted to agree with the float network (default 99.5)")
      ->check(CLI::Range(0.0, 99.99));
  verb.add_option("--memory", request.memory, "Most memory that inference may use, e.g. 8G");
  verb.add_option("--calibrate", request.calibrate,
                  "Images like those to come, to measure ranges, errors and labels on: any SRC of --data, "
                  "e.g. cifar10-train:DIR, a folder or an array (512 at most are used)")
      ->expected(1, -1);
  verb.add_flag("--precise", request.precise,
                "With bootstrapping: twice the modulus for every square, closer to the float model but slower");
  verb.add_option("--relu-error", request.relu_error,
                  "Largest error of a Relu's polynomial, over the range of its input (default 0.0051, "
                  "with more than 20 Relus 0.00255)")
      ->check(CLI::Range(1e-6, 0.25))
      ->check([](const std::string& v) { return std::isnan(std::stod(v)) ? "not a number" : std::string(); });
}

plan::Plan make_plan(const PlanRequest& request) {
  const AtOnce nothing_is_written;
  const Model model = load(request);
  return refine(best_of(candidates(model, request), images_of(request), request.memory), model, request);
}

std::vector<Part> make_parts(const PlanRequest& request) {
  const AtOnce nothing_is_written;
  const int images = images_of(request);
  const std::string& memory = request.memory;
  const Model model = load(request);
  const std::vector<Candidate> list = candidates(model, request);
  const Candidate &alone = best_of(list, images, memory), *bulk = &alone, *rest = nullptr;
  double least = alone.seconds_for(images) * kWorthwhile;
  for (const Candidate& a : list) {
    const int left = images % a.batch;
    if (!a.fits || a.batch > images || left == 0) continue;
    const Candidate& b = best_of(list, left, memory);
    const double seconds = a.seconds_for(images - left) + b.seconds_for(left);
    if (&b == &a || seconds >= least) continue;
    least = seconds;
    bulk = &a;
    rest = &b;
  }
  const auto count = static_cast<std::size_t>(images);
  if (rest == nullptr) return {{refine(alone, model, request), count}};
  const std::size_t left = count % static_cast<std::size_t>(bulk->batch);
  return {{refine(*bulk, model, request), count - left}, {refine(*rest, model, request), left}};
}

std::string describe(const plan::Prediction& p) {
  return fmt::format(
      "predicted: {:.2f} % of the labels agree with the float network, scores err by {:.2g} "
      "({:.2g} % of their spread); measured on {} {}images{}",
      100 * p.label_agreement, p.score_error, p.spread > 0 ? 100 * p.score_error / p.spread : 0.0, p.images,
      p.made_up ? "made-up " : "", p.made_up ? "; --calibrate SRC measures on real ones" : "");
}

void require_memory(const plan::Cost& cost, std::uint64_t limit) {
  if (limit == 0 || cost.least_bytes <= limit) return;
  throw Error(
      ErrorCode::no_resources,
      fmt::format("this plan needs about {} at least, --memory allows {}; compile with a smaller --batch or raise it",
                  format_bytes(static_cast<double>(cost.least_bytes)), format_bytes(static_cast<double>(limit))));
}

}  // namespace sotto::cli
