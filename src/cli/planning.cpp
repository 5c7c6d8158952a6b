#include "cli/planning.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "cli/console.h"
#include "compiler/probes.h"
#include "graph/calibrate.h"
#include "graph/onnx_import.h"
#include "images/image_source.h"

namespace sotto::cli {

namespace {

constexpr int kDefaultImages = 1024;
constexpr int kMostRuns = 4;                   // that are tried in place of one with single channels
constexpr std::size_t kMostCalibration = 512;  // images
constexpr double kReluMargin = 1.5;            // over the largest input of a Relu on those
constexpr double kWorthwhile = 0.95;           // time that a second packing, with keys of its own, must not exceed

// Errors of the compiler name the model, as those of the import do.
template <class F>
auto named(const std::string& model, const F& compile) {
  try {
    return compile();
  } catch (const Error& e) {
    throw Error(e.code(), model + ": " + e.what());
  }
}

// A packing with several channels per ciphertext, if the network fits one.
std::optional<plan::Plan> grouped(const graph::Network& network, compiler::Options options, int group) {
  options.batch = 1;
  options.group = group;
  try {
    return compiler::compile(network, options);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::bad_input && e.code() != ErrorCode::no_resources) throw;
    return std::nullopt;
  }
}

// A packing with its predicted cost.
struct Candidate {
  plan::Plan plan;
  double seconds = 0;  // of a run
  std::uint64_t least_bytes = 0;
  bool fits = true;

  [[nodiscard]] double seconds_for(int images) const {
    return seconds * ((images + plan.batch - 1) / plan.batch);  // NOLINT(bugprone-integer-division): whole runs
  }
};

int images_of(const PlanRequest& request) { return request.images == 0 ? kDefaultImages : request.images; }

using Images = std::vector<std::vector<double>>;  // preprocessed

// Images to measure on: those of the user, if any. The network must be that of the request.
Images calibration_images(const graph::Network& network, const PlanRequest& request) {
  Images values;
  if (request.calibrate.empty()) return values;
  const plan::Interface io = compiler::interface_of(network);
  const auto images = images::load_images(request.calibrate, io, 0, std::nullopt);
  // At equal distances: a data set may be sorted by class.
  const std::size_t stride = (images.size() + kMostCalibration - 1) / kMostCalibration;
  for (std::size_t k = 0; k < images.size(); k += stride) values.push_back(images::preprocess(images[k], io));
  return values;
}

// Options whose bounds come from the images to calibrate with, if any; these set the ranges of Relus, too. The network
// must outlive them.
compiler::Options calibrated(graph::Network& network, const PlanRequest& request, const Images& values) {
  if (!values.empty()) {
    ProgressLine line("ranges");
    const auto ranges =
        graph::relu_ranges(network, values, [&](std::size_t done) { line.update(done, values.size()); });
    graph::set_relu_ranges(network, ranges, kReluMargin);
  }
  const double relu_error = request.relu_error.value_or(compiler::relu_error_for(network));
  const auto bounds = std::make_shared<std::optional<compiler::Bounds>>();
  const auto measured = [bounds, &network, &values, relu_error]() {
    if (!*bounds) {
      ProgressLine line("bounds", values.empty());
      *bounds =
          compiler::bounds_of(network, values, relu_error, [&](std::size_t done) { line.update(done, values.size()); });
    }
    return **bounds;
  };
  return {.relu_error = relu_error, .precise = request.precise, .bounds = measured};
}

// Every packing worth a look: each with single channels holds four times the images of the one before, until all images
// fit or strides do not fit any more; several channels per ciphertext are for few images, or few left over.
struct Candidates {
  std::vector<Candidate> list;
  Images images;  // to measure on
};

Candidates candidates(const PlanRequest& request) {
  const int images = images_of(request);
  const std::uint64_t limit = request.memory.empty() ? 0 : parse_bytes(request.memory);
  // Without a word from the user no plan may need more than this machine has, if a smaller one exists.
  const std::uint64_t most = limit != 0 ? limit : total_memory();
  graph::Network network = graph::import_onnx(request.model);
  Candidates result{{}, calibration_images(network, request)};
  compiler::Options options = calibrated(network, request, result.images);
  std::vector<Candidate>& list = result.list;
  const auto add = [&](plan::Plan plan) {
    check_stop();
    const plan::Cost cost = plan::estimate(plan, static_cast<int>(std::thread::hardware_concurrency()), limit);
    list.push_back(
        {std::move(plan), cost.seconds(plan::kTypicalSpeed), cost.least_bytes, most == 0 || cost.least_bytes <= most});
  };
  for (int capacity = 1;; capacity = list.back().plan.batch + 1) {
    options.batch = capacity;
    plan::Plan plan = named(request.model, [&] { return compiler::compile(network, options); });
    if (!list.empty() && plan.batch == list.back().plan.batch) break;
    add(std::move(plan));
    if (list.back().plan.batch >= images || list.back().plan.batch >= 65536) break;
  }
  const int single = list.front().plan.batch;
  int few = images;
  for (const Candidate& c : list)
    if (images % c.plan.batch != 0) few = std::min(few, images % c.plan.batch);
  for (int group = 2; group <= std::min(single, plan::kMaxGroup) && few * group <= single * kMostRuns; group *= 2)
    if (auto plan = grouped(network, options, group)) add(std::move(*plan));
  return result;
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
              fmt::format("even a batch of {} needs about {}, --memory allows {}; give it more", smallest->plan.batch,
                          format_bytes(static_cast<double>(smallest->least_bytes)),
                          format_bytes(static_cast<double>(parse_bytes(memory)))));
}

// A plan with the bounds by which its results are judged: from images to measure on, or made-up ones.
plan::Plan judged(plan::Plan plan, const Images& images) {
  constexpr std::size_t kMadeUp = 8;  // of each kind: a large network takes seconds for one
  Images made_up;
  for (bool extreme : {false, true}) {
    if (!images.empty()) break;
    Images some = compiler::made_up_images(plan.io, extreme);
    for (std::size_t k = 0; k < kMadeUp; ++k) made_up.push_back(std::move(some[k * some.size() / kMadeUp]));
  }
  const Images& all = images.empty() ? made_up : images;
  ProgressLine line("expectations", images.empty());
  compiler::measure_probes(plan, all, images.empty() ? compiler::kMadeUpImages : compiler::kRealImages,
                           [&](std::size_t done) { line.update(done, all.size()); });
  return plan;
}

}  // namespace

void add_plan_options(CLI::App& verb, PlanRequest& request) {
  verb.add_option(
          "--batch", request.images,
          "Images that a run will have: the packing is the fastest for so many (default 1024; evaluate: its images)")
      ->check(CLI::Range(1, 65536));
  verb.add_option("--memory", request.memory, "Most memory that inference may use, e.g. 8G");
  verb.add_option("--calibrate", request.calibrate,
                  "Images to measure the ranges of values on, for Relu and deep networks: cifar10-train:DIR, "
                  "cifar100-train:DIR, or PNG and JPEG files or folders (512 at most are used)")
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
  const Candidates all = candidates(request);
  return judged(best_of(all.list, images_of(request), request.memory).plan, all.images);
}

std::vector<Part> make_parts(const PlanRequest& request) {
  const int images = images_of(request);
  const std::string& memory = request.memory;
  const Candidates all = candidates(request);
  const std::vector<Candidate>& list = all.list;
  const Candidate &alone = best_of(list, images, memory), *bulk = &alone, *rest = nullptr;
  double least = alone.seconds_for(images) * kWorthwhile;
  for (const Candidate& a : list) {
    const int left = images % a.plan.batch;
    if (!a.fits || a.plan.batch > images || left == 0) continue;
    const Candidate& b = best_of(list, left, memory);
    const double seconds = a.seconds_for(images - left) + b.seconds_for(left);
    if (&b == &a || seconds >= least) continue;
    least = seconds;
    bulk = &a;
    rest = &b;
  }
  const auto count = static_cast<std::size_t>(images);
  if (rest == nullptr) return {{judged(alone.plan, all.images), count}};
  const std::size_t left = count % static_cast<std::size_t>(bulk->plan.batch);
  return {{judged(bulk->plan, all.images), count - left}, {judged(rest->plan, all.images), left}};
}

void require_memory(const plan::Cost& cost, std::uint64_t limit) {
  if (limit == 0 || cost.least_bytes <= limit) return;
  throw Error(
      ErrorCode::no_resources,
      fmt::format("this plan needs about {} at least, --memory allows {}; compile with a smaller --batch or raise it",
                  format_bytes(static_cast<double>(cost.least_bytes)), format_bytes(static_cast<double>(limit))));
}

}  // namespace sotto::cli
