// The quadratic activation on bfloat16 in one pass over memory each way. Portable C++ that compilers vectorise; float
// operations in the order of quadratic_reference (activation.py) and no fused multiply-add, so both give the same bits.
#include <cstdint>
#include <cstring>

namespace {

inline float widen(std::uint16_t h) {
  const std::uint32_t u = static_cast<std::uint32_t>(h) << 16;
  float f;
  std::memcpy(&f, &u, sizeof f);
  return f;
}

// Round to nearest even; finite values only.
inline std::uint16_t narrow(float f) {
  std::uint32_t u;
  std::memcpy(&u, &f, sizeof u);
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

inline float clamp(float x, float r) {
  x = x > r ? r : x;
  return x < -r ? -r : x;
}

}  // namespace

// y = c (a c + b) + (2 a c + b) (x - c), c = clamp(x, -r, r): a x^2 + b x inside [-r, r], its tangent outside.
extern "C" void quadratic_forward(const std::uint16_t* __restrict x, std::uint16_t* __restrict y, long n, float a,
                                  float b, float r) {
  const float a2 = 2 * a;
  for (long i = 0; i < n; ++i) {
    const float v = widen(x[i]), c = clamp(v, r);
    y[i] = narrow(c * (a * c + b) + (a2 * c + b) * (v - c));
  }
}

// dx = dy (2 a c + b) + k (x - clamp(x, -p, p)): the derivative plus the gradient of the range penalty.
extern "C" void quadratic_backward(const std::uint16_t* __restrict x, const std::uint16_t* __restrict dy,
                                   std::uint16_t* __restrict dx, long n, float a, float b, float r, float p, float k) {
  const float a2 = 2 * a;
  for (long i = 0; i < n; ++i) {
    const float v = widen(x[i]), c = clamp(v, r);
    dx[i] = narrow(widen(dy[i]) * (a2 * c + b) + k * (v - clamp(v, p)));
  }
}
