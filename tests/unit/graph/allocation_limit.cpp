// Makes single allocations of more than 256 MiB fail in the whole test program: the models here are small, and a size
// that damage or malice wrote into a file must not be believed.
#include <cstdlib>
#include <new>

void* operator new(std::size_t bytes) {
  void* p = bytes > (std::size_t{256} << 20) ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
