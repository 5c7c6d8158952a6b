#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotto::test {

inline const std::string kGoldenFolder = SOTTO_SOURCE_DIR "/tests/golden/graph/";

/// The golden models of tests/golden/graph/make_goldens.py, without those of models/.
inline const std::vector<std::string>& golden_models() {
  static const std::vector<std::string> names = {"conv_padded",
                                                 "conv_strides_and_uneven_pads",
                                                 "conv_groups",
                                                 "conv_dilated",
                                                 "conv_auto_pad_valid",
                                                 "batch_normalization",
                                                 "constants_and_broadcast",
                                                 "constant_nodes",
                                                 "sums_products_and_powers",
                                                 "average_pool_counting_pads",
                                                 "average_pool_without_pads",
                                                 "global_average_pool",
                                                 "reduce_mean_by_attribute",
                                                 "reduce_mean_by_input",
                                                 "gemm_transposed_and_scaled",
                                                 "gemm_plain",
                                                 "reshape_matmul_add",
                                                 "identity_dropout_cast",
                                                 "half_precision_constants",
                                                 "residual_network",
                                                 "pooled_network",
                                                 "relus",
                                                 "lenet5",
                                                 "vgg11",
                                                 "relu_resnet"};
  return names;
}

inline nlohmann::json read_golden(const std::string& name) {
  return nlohmann::json::parse(std::ifstream(kGoldenFolder + name + ".json"));
}

}  // namespace sotto::test
