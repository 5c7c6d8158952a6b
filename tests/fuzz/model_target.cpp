// ONNX models.
#include "compiler/lower.h"
#include "fuzz/targets.h"
#include "graph/onnx_import.h"

namespace sotto::fuzz {

bool read_onnx(Input input) {
  return accepts([&] {
    const graph::Network network = graph::import_onnx(Source(Bytes(input.begin(), input.end()), "model.onnx"));
    // Functions whose ranges nobody measured are refused here.
    (void)accepts([&] { (void)compiler::lower(network); });
  });
}

}  // namespace sotto::fuzz
