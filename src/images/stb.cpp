// The implementation of a single-file library: PNG encoding for contact sheets.
#include <cstdlib>
#include <new>

namespace {

// The library does not look whether it got memory.
void* allocated(void* memory) { return memory != nullptr ? memory : throw std::bad_alloc(); }

}  // namespace

#define STBIW_MALLOC(bytes) allocated(std::malloc(bytes))
#define STBIW_REALLOC(memory, bytes) allocated(std::realloc(memory, bytes))
#define STBIW_FREE(memory) std::free(memory)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>
