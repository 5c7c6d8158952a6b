// The implementation of a single-file library: PNG encoding for contact sheets.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>
