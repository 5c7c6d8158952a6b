// The quadratic activation on bfloat16 or float32 in one pass over memory each way. Portable C++ that compilers
// vectorise; float operations in the order of quadratic_reference (activation.py) and no fused multiply-add, so both
// give the same bits.
#include <cstdint>
#include <cstring>

namespace {

inline float widen(std::uint16_t h) {
  const std::uint32_t u = static_cast<std::uint32_t>(h) << 16;
  float f;
  std::memcpy(&f, &u, sizeof f);
  return f;
}

inline float widen(float f) { return f; }

// Round to nearest even; finite values only.
inline void narrow(float f, std::uint16_t& h) {
  std::uint32_t u;
  std::memcpy(&u, &f, sizeof u);
  h = static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

inline void narrow(float f, float& to) { to = f; }

inline float clamp(float x, float r) {
  x = x > r ? r : x;
  return x < -r ? -r : x;
}

// y = c (a c + b) + (2 a c + b) (x - c), c = clamp(x, -r, r): a x^2 + b x inside [-r, r], its tangent outside.
template <class T>
void forward(const T* __restrict x, T* __restrict y, long n, float a, float b, float r) {
  const float a2 = 2 * a;
  for (long i = 0; i < n; ++i) {
    const float v = widen(x[i]), c = clamp(v, r);
    narrow(c * (a * c + b) + (a2 * c + b) * (v - c), y[i]);
  }
}

// dx = dy (2 a c + b) + k (x - clamp(x, -p, p)): the derivative plus the gradient of the range penalty.
template <class T>
void backward(const T* __restrict x, const T* __restrict dy, T* __restrict dx, long n, float a, float b, float r,
              float p, float k) {
  const float a2 = 2 * a;
  for (long i = 0; i < n; ++i) {
    const float v = widen(x[i]), c = clamp(v, r);
    narrow(widen(dy[i]) * (a2 * c + b) + k * (v - clamp(v, p)), dx[i]);
  }
}

}  // namespace

extern "C" void forward_bf16(const std::uint16_t* x, std::uint16_t* y, long n, float a, float b, float r) {
  forward(x, y, n, a, b, r);
}

extern "C" void forward_f32(const float* x, float* y, long n, float a, float b, float r) { forward(x, y, n, a, b, r); }

extern "C" void backward_bf16(const std::uint16_t* x, const std::uint16_t* dy, std::uint16_t* dx, long n, float a,
                              float b, float r, float p, float k) {
  backward(x, dy, dx, n, a, b, r, p, k);
}

extern "C" void backward_f32(const float* x, const float* dy, float* dx, long n, float a, float b, float r, float p,
                             float k) {
  backward(x, dy, dx, n, a, b, r, p, k);
}
