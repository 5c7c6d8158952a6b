#include <cstdlib>
#include <string>

#include "base/error.h"
#include "simd/kernels.h"

namespace sotto::simd {

#if !SOTTO_HAVE_X86_KERNELS
const Kernels* avx2_kernels() { return nullptr; }
const Kernels* avx512_kernels() { return nullptr; }
const Kernels* amx_kernels() { return nullptr; }
#endif

namespace {

const Kernels& choose() {
  const Kernels* const sets[] = {amx_kernels(), avx512_kernels(), avx2_kernels(), &scalar_kernels()};
  const char* forced = std::getenv("SOTTO_KERNELS");
  if (forced != nullptr && *forced != '\0') {
    for (const Kernels* k : sets)
      if (k != nullptr && std::string(forced) == k->name && self_test(*k)) return *k;
    throw Error(ErrorCode::usage,
                std::string("SOTTO_KERNELS=") + forced +
                    " is not available on this processor; use scalar, avx2, avx512 or amx, or unset it");
  }
  for (const Kernels* k : sets)
    if (k != nullptr && self_test(*k)) return *k;
  internal_error("no kernel set passes its self-test");
}

}  // namespace

const Kernels& select_kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace sotto::simd
