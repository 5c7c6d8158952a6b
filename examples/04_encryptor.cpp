// Encrypts images for someone else, with their public key (`sotto keygen --public-key`). It is linked without any code
// that knows a secret key: it could not decrypt what it made. `sotto infer` computes on it, the owner decrypts.
#include <sotto/encryptor.h>

#include <cstdint>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: 04_encryptor NAME.client PUBLIC.key OUT.sotto\n"), 2;
  try {
    const sotto::Encryptor encryptor(sotto::ClientSpec::read(argv[1]), argv[2]);
    const sotto::ClientSpec& spec = encryptor.spec();
    const auto channels = static_cast<std::size_t>(spec.channels()), height = static_cast<std::size_t>(spec.height()),
               width = static_cast<std::size_t>(spec.width());
    std::vector<std::uint8_t> pixels(5 * channels * height * width);
    for (std::size_t k = 0; k < pixels.size(); ++k) pixels[k] = static_cast<std::uint8_t>(k * k);
    const std::string id = encryptor.encrypt(sotto::ImagesView(pixels, channels, height, width), argv[3]);
    std::printf("5 images for the owner of key %s: input %s\n", encryptor.key_id().c_str(), id.c_str());
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "04_encryptor: %s\n", e.what());
    return static_cast<int>(e.code());
  }
}
