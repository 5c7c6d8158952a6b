#include "graph/onnx_advice.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace sotto::graph {

namespace {

struct Advice {
  std::string_view ops;  // separated by spaces
  const char* text;
};

constexpr Advice kAdvice[] = {
    {"LpPool", "it does not run encrypted; replace it with AveragePool and retrain"},
    {"GlobalLpPool", "it does not run encrypted; replace it with GlobalAveragePool and retrain"},
    {"ThresholdedRelu Shrink Sign Floor Ceil Round",
     "it jumps, and no polynomial follows a jump; use Relu or another continuous activation and retrain"},
    {"Log Sqrt",
     "it does not run encrypted on its own; use an activation (Relu, Swish, Gelu, Sigmoid, Tanh, ..) and retrain"},
    {"LayerNormalization GroupNormalization InstanceNormalization LpNormalization MeanVarianceNormalization LRN",
     "it does not run encrypted; replace it with BatchNormalization and retrain"},
    {"Softmax LogSoftmax Hardmax ArgMax TopK",
     "it does not run encrypted; export the model without it: labels come from the scores alone"},
    {"Resize Upsample", "it does not run encrypted; scale the pictures before they are encrypted"},
    {"If Loop Scan", "control flow does not run encrypted; export the model by tracing it with an example image"},
    {"QuantizeLinear DequantizeLinear QLinearConv ConvInteger MatMulInteger DynamicQuantizeLinear",
     "quantized networks are not supported; export the model in float"},
    {"ConvTranspose", "it is not supported; Sotto classifies whole pictures"},
};

// Whether `word` is one of the words of `list`.
bool holds(std::string_view list, std::string_view word) {
  for (std::size_t end = 0; !list.empty(); list.remove_prefix(std::min(end + 1, list.size()))) {
    end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
  }
  return false;
}

}  // namespace

std::string advice_for(const std::string& op_type) {
  const auto* const found = std::find_if(std::begin(kAdvice), std::end(kAdvice),
                                         [&](const Advice& advice) { return holds(advice.ops, op_type); });
  return found == std::end(kAdvice) ? "this operator is not supported" : found->text;
}

}  // namespace sotto::graph
