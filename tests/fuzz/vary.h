#pragma once

#include <cstddef>
#include <cstdint>

namespace sotto::fuzz {

/// Variation of `size` bytes in place, up to `most`, without regard to what they mean; returns the new size.
using VaryBytes = std::size_t (*)(std::uint8_t* data, std::size_t size, std::size_t most);

/// Changes one member of the header of a container input (container_input.h), or the bytes behind it.
std::size_t vary_container(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, VaryBytes vary_bytes);

/// Changes one member of a JSON text.
std::size_t vary_json(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, VaryBytes vary_bytes);

/// Changes one field of an ONNX model.
std::size_t vary_model(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, VaryBytes vary_bytes);

}  // namespace sotto::fuzz
