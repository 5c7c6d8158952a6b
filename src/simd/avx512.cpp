// Kernels for AVX-512 (F, DQ, BW, VL, IFMA). Nothing but the table leaves this file. Everything runs on 52-bit integer
// multiply-adds: a butterfly needs three of them where doubles need eight operations, a product in a sum two where
// doubles need four.
#include <immintrin.h>

#include <new>
#include <type_traits>

#include "simd/kernels.h"

namespace sotto::simd {
namespace {

// Each builds on those before it.
// clang-format off
#include "simd/avx512_vector.inl.h"
#include "simd/words.inl.h"
#include "simd/reals.inl.h"
#include "simd/ifma_core.inl.h"
#include "simd/ifma_butterfly.inl.h"
#include "simd/ifma_fold.inl.h"
#include "simd/ifma_ntt.inl.h"
#include "simd/ifma_pointwise.inl.h"
#include "simd/matmul.inl.h"
#include "simd/ifma_matmul.inl.h"
#include "simd/x86_automorphism.inl.h"
// clang-format on

constexpr Kernels kAvx512{"avx512",
                          TwiddleLayout::ifma8,
                          ifma_ntt<Avx512>,
                          ifma_intt<Avx512>,
                          ifma_add<Avx512>,
                          ifma_sub<Avx512>,
                          ifma_mul<Avx512>,
                          ifma_mul_scalar_add<Avx512>,
                          ifma_sub_mul_scalar<Avx512>,
                          ifma_square<Avx512>,
                          ifma_inner_product<Avx512>,
                          ifma_switch_end<Avx512>,
                          ifma_matmul<Avx512>,
                          automorphism,
                          residues<Avx512>,
                          pack_words<Avx512>,
                          unpack_words<Avx512>,
                          add_scaled<Avx512>};

}  // namespace

const Kernels* avx512_kernels() {
  const bool available = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                         __builtin_cpu_supports("avx512ifma");
  return available ? &kAvx512 : nullptr;
}

}  // namespace sotto::simd
