#pragma once

#include <cstddef>
#include <cstdint>

namespace sotto::graph {

// What a model may ask for at most: far beyond any network, and little enough for the memory of a small machine.
inline constexpr std::int64_t kMaxDim = 1 << 14;                   ///< height or width of a feature map
inline constexpr std::int64_t kMaxChannels = 65536;                ///< or values of a flat one
inline constexpr std::size_t kMaxValue = std::size_t{1} << 26;     ///< numbers in one feature map
inline constexpr std::size_t kMaxValues = std::size_t{1} << 28;    ///< in all feature maps: what measuring holds
inline constexpr std::size_t kMaxElements = std::size_t{1} << 28;  ///< of all constants

}  // namespace sotto::graph
