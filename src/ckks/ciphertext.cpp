#include "ckks/ciphertext.h"

#include "base/error.h"

namespace sotto::ckks {

PackedCiphertext pack(const ring::Ring& ring, Ciphertext c) {
  PackedCiphertext out{ring::PackedPoly(c.c0.size()), ring::PackedPoly(c.c1.size()), c.scale};
  parallel_for_limbs(c.level(), [&](std::size_t l) {
    out.c0[l] = ring.pack(c.c0[l].data());
    c.c0[l].reset();
    out.c1[l] = ring.pack(c.c1[l].data());
    c.c1[l].reset();
  });
  return out;
}

Ciphertext unpack(const ring::Ring& ring, const PackedCiphertext& c, const Level& level) {
  check(level.count() >= 1 && c.level().covers(level), "cannot drop to this level");
  const auto limbs = static_cast<std::size_t>(level.limbs);
  Ciphertext out{ring::RnsPoly(limbs), ring::RnsPoly(limbs), c.scale};
  parallel_for_limbs(level, [&](std::size_t l) {
    out.c0[l] = ring.unpack(c.c0[l]);
    out.c1[l] = ring.unpack(c.c1[l]);
  });
  return out;
}

}  // namespace sotto::ckks
