#include "cli/planning.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "cli/console.h"
#include "graph/onnx_import.h"

namespace sotto::cli {

namespace {

constexpr int kDefaultImages = 1024;

// Errors name the model, as those of the import do.
plan::Plan compile_model(const std::string& model, const graph::Network& network, int batch) {
  try {
    return compiler::compile(network, {.batch = batch});
  } catch (const Error& e) {
    throw Error(e.code(), model + ": " + e.what());
  }
}

// Predicted seconds for `images` images, in as many runs as they need.
double seconds_for(int images, const plan::Plan& plan, const plan::Cost& cost) {
  const int runs = (images + plan.batch - 1) / plan.batch;
  return runs * cost.seconds(plan::kTypicalSpeed);
}

}  // namespace

plan::Plan make_plan(const std::string& model, int images, const std::string& memory) {
  const graph::Network network = graph::import_onnx(model);
  const std::uint64_t limit = memory.empty() ? 0 : parse_bytes(memory);
  // Without a word from the user no plan may need more than this machine has, if a smaller one exists.
  const std::uint64_t most = limit != 0 ? limit : total_memory();
  if (images == 0) images = kDefaultImages;
  std::optional<plan::Plan> best;
  double best_seconds = 0;
  std::uint64_t least = 0;
  int least_batch = 0;
  // Every packing holds four times the images of the one before, until all images fit or strides do not fit any more.
  for (int capacity = 1, previous = 0;;) {
    plan::Plan plan = compile_model(model, network, capacity);
    if (plan.batch == previous) break;
    const plan::Cost cost = plan::estimate(plan);
    const double seconds = seconds_for(images, plan, cost);
    if (least == 0 || cost.peak_bytes < least) {
      least = cost.peak_bytes;
      least_batch = plan.batch;
    }
    previous = plan.batch;
    const bool fits = most == 0 || cost.peak_bytes <= most;
    if ((fits || (limit == 0 && !best)) && (!best || seconds < best_seconds)) {
      best = std::move(plan);
      best_seconds = seconds;
    }
    if (previous >= images || previous >= 65536) break;
    capacity = previous + 1;
  }
  if (!best)
    throw Error(ErrorCode::no_resources,
                fmt::format("even a batch of {} needs about {}, --memory allows {}; give it more", least_batch,
                            format_bytes(static_cast<double>(least)), format_bytes(static_cast<double>(limit))));
  return std::move(*best);
}

void require_memory(const plan::Cost& cost, std::uint64_t limit) {
  if (limit == 0 || cost.peak_bytes <= limit) return;
  throw Error(
      ErrorCode::no_resources,
      fmt::format("this plan needs about {}, --memory allows {}; compile with a smaller --batch or raise it",
                  format_bytes(static_cast<double>(cost.peak_bytes)), format_bytes(static_cast<double>(limit))));
}

}  // namespace sotto::cli
