#pragma once

#include <functional>
#include <span>

#include "decode/confine.h"
#include "decode/picture.h"

namespace sotto::decode {

/// Decodes one file, as decode_picture does.
using DecodeFn = std::function<Picture(std::span<const unsigned char> file, const SizeCheck& check_size)>;

/// Confines this process and answers whoever is at the other end of descriptors 0 and 1 (decode/protocol.h) until that
/// end is closed. Returns the exit code: 0, or 1 for words that make no sense.
int serve(const DecodeFn& decode, const Limits& limits = {});

}  // namespace sotto::decode
