#include "graph/onnx_operators.h"

#include <map>

namespace sotto::graph {

ImportNode find_operator(const std::string& op_type) {
  static const std::map<std::string, ImportNode> table = {
      {"Add", import_arithmetic},
      {"ArgMax", import_arg_max},
      {"AveragePool", import_average_pool},
      {"BatchNormalization", import_batch_normalization},
      {"Cast", import_cast},
      {"CastLike", import_cast_like},
      {"Concat", import_concat},
      {"Conv", import_conv},
      {"Div", import_arithmetic},
      {"Dropout", import_dropout},
      {"Flatten", import_flatten},
      {"Gather", import_gather},
      {"Gemm", import_dense},
      {"GlobalAveragePool", import_global_average_pool},
      {"GlobalMaxPool", import_global_max_pool},
      {"Greater", import_comparison},
      {"GreaterOrEqual", import_comparison},
      {"Hardmax", import_softmax},
      {"Identity", import_identity},
      {"Log", import_log},
      {"Less", import_comparison},
      {"LessOrEqual", import_comparison},
      {"LogSoftmax", import_softmax},
      {"MaxPool", import_max_pool},
      {"MatMul", import_dense},
      {"Mul", import_arithmetic},
      {"Neg", import_negation},
      {"Pad", import_pad},
      {"Pow", import_pow},
      {"ReduceMean", import_reduce},
      {"ReduceSum", import_reduce},
      {"Reshape", import_reshape},
      {"SequenceAt", import_sequence_at},
      {"Slice", import_slice},
      {"Softmax", import_softmax},
      {"Split", import_split},
      {"SplitToSequence", import_split_to_sequence},
      {"Squeeze", import_squeeze},
      {"Sub", import_arithmetic},
      {"Transpose", import_transpose},
      {"Unsqueeze", import_unsqueeze},
      {"Where", import_where},
  };
  const auto found = table.find(op_type);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace sotto::graph
