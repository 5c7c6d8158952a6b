#include "cli/planning.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/console.h"
#include "graph/onnx_import.h"

namespace sotto::cli {

plan::Plan make_plan(const std::string& model, int batch, const std::string& memory) {
  const graph::Network network = graph::import_onnx(model);
  const std::uint64_t limit = memory.empty() ? 0 : parse_bytes(memory);
  constexpr int kDefaultBatch = 1024;
  int images = batch > 0 ? batch : kDefaultBatch, previous = 0;
  for (;;) {
    plan::Plan plan = compiler::compile(network, {.batch = images});
    const std::uint64_t needed = plan::estimate(plan).peak_bytes;
    if (limit == 0 || needed <= limit) return plan;
    // Without a batch from the user, the largest that fits is as good as any.
    const bool smallest = plan.batch == previous || plan.batch == 1;
    if (batch > 0 || smallest)
      throw Error(ErrorCode::no_resources,
                  fmt::format("a batch of {} needs about {}, --memory allows {}; {}", plan.batch,
                              format_bytes(static_cast<double>(needed)), format_bytes(static_cast<double>(limit)),
                              smallest ? "give it more" : "use a smaller --batch or more memory"));
    previous = plan.batch;
    images = std::max(1, plan.batch / 4);  // the next larger tile
  }
}

}  // namespace sotto::cli
