#include "cli/planning.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "base/error.h"
#include "cli/console.h"
#include "graph/onnx_import.h"

namespace sotto::cli {

namespace {

constexpr int kDefaultImages = 1024;
constexpr int kMostRuns = 4;  // that are tried in place of one with single channels

// Errors name the model, as those of the import do.
plan::Plan compile_model(const std::string& model, const graph::Network& network, const compiler::Options& options) {
  try {
    return compiler::compile(network, options);
  } catch (const Error& e) {
    throw Error(e.code(), model + ": " + e.what());
  }
}

// A packing with several channels per ciphertext, if the network fits one.
std::optional<plan::Plan> grouped(const graph::Network& network, int group) {
  try {
    return compiler::compile(network, {.batch = 1, .group = group});
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Predicted seconds for `images` images, in as many runs as they need.
double seconds_for(int images, const plan::Plan& plan, const plan::Cost& cost) {
  const int runs = (images + plan.batch - 1) / plan.batch;
  return runs * cost.seconds(plan::kTypicalSpeed);
}

// Every packing worth a look: each with single channels holds four times the images of the one before, until all images
// fit or strides do not fit any more; several channels per ciphertext are for fewer images than the first of those.
std::vector<plan::Plan> candidates(const std::string& model, int images) {
  const graph::Network network = graph::import_onnx(model);
  std::vector<plan::Plan> plans;
  for (int capacity = 1;; capacity = plans.back().batch + 1) {
    plan::Plan plan = compile_model(model, network, {.batch = capacity});
    if (!plans.empty() && plan.batch == plans.back().batch) break;
    plans.push_back(std::move(plan));
    if (plans.back().batch >= images || plans.back().batch >= 65536) break;
  }
  const int single = plans.front().batch;
  for (int group = 2; group <= std::min(single, compiler::kMaxGroup) && images * group <= single * kMostRuns;
       group *= 2)
    if (auto plan = grouped(network, group)) plans.push_back(std::move(*plan));
  return plans;
}

}  // namespace

plan::Plan make_plan(const std::string& model, int images, const std::string& memory) {
  const std::uint64_t limit = memory.empty() ? 0 : parse_bytes(memory);
  // Without a word from the user no plan may need more than this machine has, if a smaller one exists.
  const std::uint64_t most = limit != 0 ? limit : total_memory();
  if (images == 0) images = kDefaultImages;
  const plan::Plan* best = nullptr;
  double best_seconds = 0;
  std::uint64_t least = 0;
  int least_batch = 0;
  std::vector<plan::Plan> plans = candidates(model, images);
  for (const plan::Plan& plan : plans) {
    const plan::Cost cost = plan::estimate(plan, static_cast<int>(std::thread::hardware_concurrency()), limit);
    const double seconds = seconds_for(images, plan, cost);
    if (least == 0 || cost.least_bytes < least) {
      least = cost.least_bytes;
      least_batch = plan.batch;
    }
    const bool fits = most == 0 || cost.least_bytes <= most;
    if ((fits || (limit == 0 && best == nullptr)) && (best == nullptr || seconds < best_seconds)) {
      best = &plan;
      best_seconds = seconds;
    }
  }
  if (best == nullptr)
    throw Error(ErrorCode::no_resources,
                fmt::format("even a batch of {} needs about {}, --memory allows {}; give it more", least_batch,
                            format_bytes(static_cast<double>(least)), format_bytes(static_cast<double>(limit))));
  return *best;
}

void require_memory(const plan::Cost& cost, std::uint64_t limit) {
  if (limit == 0 || cost.least_bytes <= limit) return;
  throw Error(
      ErrorCode::no_resources,
      fmt::format("this plan needs at least {}, --memory allows {}; compile with a smaller --batch or raise it",
                  format_bytes(static_cast<double>(cost.least_bytes)), format_bytes(static_cast<double>(limit))));
}

}  // namespace sotto::cli
