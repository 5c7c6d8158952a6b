#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotto::test {

inline const std::string kGoldenFolder = SOTTO_SOURCE_DIR "/tests/golden/graph/";

/// The golden models of tests/golden/graph/make_goldens.py, without those of models/.
inline const std::vector<std::string>& golden_models() {
  static const std::vector<std::string> names = {
      "conv_padded",
      "conv_strides_and_uneven_pads",
      "conv_groups",
      "conv_dilated",
      "conv_auto_pad_valid",
      "batch_normalization",
      "constants_and_broadcast",
      "constants_by_pixel",
      "constant_nodes",
      "sums_products_and_powers",
      "gates",
      "max_pools",
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
      "zero_pads",
      "zero_pads_of_named_axes",
      "zero_pads_before_average_pools",
      "average_pools_that_round_up",
      "average_pools_wider_than_their_input",
      "auto_pad_same",
      "means_axis_by_axis",
      "axes_as_attributes",
      "views_of_one_map",
      "flatten_by_computed_shapes",
      "computed_constants",
      "shortcuts_of_slices_and_zeros",
      "channels_shuffled_split_and_joined",
      "transposed_before_a_dense_layer",
      "channels_behind",
      "flat_input",
      "flat_input_made_a_picture",
      "picture_without_channels",
      "signals",
      "raw_pixels",
      "sides",
      "exported_lenet_script_11",
      "exported_padded_script_13",
      "exported_padded_dynamo_20",
      "exported_joined_script_14",
      "exported_joined_dynamo_20",
      "exported_joined_dynamo_22",
      "lenet5",
      "vgg11",
      "relu_resnet",
  };
  return names;
}

inline nlohmann::json read_golden(const std::string& name) {
  return nlohmann::json::parse(std::ifstream(kGoldenFolder + name + ".json"));
}

}  // namespace sotto::test
