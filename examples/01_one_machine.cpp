// The whole way on one machine and in memory: from a model to the labels of encrypted images.
#include <sotto/client.h>
#include <sotto/server.h>
#include <sotto/version.h>

#include <cstdint>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: 01_one_machine MODEL.onnx\n"), 2;
  try {
    // The owner of the model compiles it and publishes what clients need.
    const sotto::Plan plan = sotto::Plan::compile(argv[1], {.images = 10});
    const sotto::ClientSpec spec = plan.client_spec();
    std::printf("Sotto %s: batches of %d, %.2f %% of the labels are predicted to be those of the float model\n",
                SOTTO_VERSION, plan.batch(), 100 * plan.predicted_agreement());

    // The owner of the images keeps the secret key and encrypts.
    const sotto::Client client(spec, sotto::SecretKey::generate());
    const auto channels = static_cast<std::size_t>(spec.channels()), height = static_cast<std::size_t>(spec.height()),
               width = static_cast<std::size_t>(spec.width());
    std::vector<std::uint8_t> pixels(10 * channels * height * width);
    for (std::size_t k = 0; k < pixels.size(); ++k) pixels[k] = static_cast<std::uint8_t>(k * k);
    sotto::Bytes keys, query, reply;
    client.write_evaluation_keys(sotto::Sink(keys));
    client.encrypt(sotto::ImagesView(pixels, channels, height, width), sotto::Sink(query));

    // The server sees ciphertexts only.
    sotto::Server server(plan);
    sotto::EvaluationKeys opened = server.open_keys(sotto::Source(std::move(keys)));
    server.infer(sotto::Source(std::move(query)), opened, sotto::Sink(reply));

    const sotto::Results results = client.decrypt(sotto::Source(std::move(reply)));
    for (std::size_t i = 0; i < results.images; ++i)
      std::printf("image %zu: class %d%s\n", i, results.labels[i],
                  results.doubts[i] == sotto::Doubt::none ? "" : (" (" + text_of(results.doubts[i]) + ")").c_str());
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return static_cast<int>(e.code());
  }
}
