// Training on encrypted images: a model's last layer learns from images and labels that the server cannot see.
#include <sotto/trainer.h>
#include <sotto/training_client.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: 06_training MODEL.onnx LAYER TRAINED.onnx\n"), 2;
  try {
    // The owner of the model plans the training: two steps of 1024 images.
    const std::string spec = std::string("layers = [\"") + argv[2] +
                             "\"]\nbatch = 1024\nsteps = 2\nrange = 4\n[optimiser]\nrate = 0.1\nmomentum = 0.9\n";
    const sotto::TrainingPlan plan = sotto::TrainingPlan::compile(argv[1], spec);
    std::printf("a run takes about %.1f GB, keys of %.1f GB\n", 1e-9 * static_cast<double>(plan.memory()),
                1e-9 * static_cast<double>(plan.key_bytes()));

    // The owner of the images: class k is brighter than class k - 1.
    const sotto::ClientSpec shape = plan.client_spec();
    const auto channels = static_cast<std::size_t>(shape.channels()), height = static_cast<std::size_t>(shape.height()),
               width = static_cast<std::size_t>(shape.width()), each = channels * height * width;
    std::vector<int> labels;
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < 1024; ++i) {
      labels.push_back(i % shape.scores());
      for (std::size_t k = 0; k < each; ++k)
        pixels.push_back(static_cast<std::uint8_t>(60 * labels.back() + static_cast<int>(k * k + 7 * i) % 40));
    }
    const sotto::ImagesView images(pixels, channels, height, width);
    const sotto::TrainingClient client(plan, sotto::SecretKey::generate());
    sotto::Bytes keys, query, reply;
    client.write_evaluation_keys(sotto::Sink(keys));
    client.encrypt(images, labels, sotto::Sink(query));

    // The server sees ciphertexts only.
    sotto::Trainer trainer(plan);
    sotto::EvaluationKeys opened = trainer.open_keys(sotto::Source(std::move(keys)));
    trainer.train(sotto::Source(std::move(query)), opened, sotto::Sink(reply));

    // Beside it the same steps in the clear.
    const sotto::TrainingResult result = client.decrypt(sotto::Source(std::move(reply))),
                                clear = plan.simulate(images, labels);
    for (std::size_t s = 0; s < result.losses.size(); ++s)
      std::printf("step %zu: loss %.5f, in the clear %.5f\n", s + 1, result.losses[s], clear.losses[s]);
    double difference = 0, largest = 0;
    for (std::size_t w = 0; w < result.weights.size(); ++w)
      for (std::size_t k = 0; k < result.weights[w].values.size(); ++k) {
        difference = std::max(difference, std::abs(result.weights[w].values[k] - clear.weights[w].values[k]));
        largest = std::max(largest, std::abs(clear.weights[w].values[k]));
      }
    std::printf("largest difference of a weight, over the largest weight: %.6f\n", difference / largest);
    plan.write_model(argv[3], result.weights);
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return static_cast<int>(e.code());
  }
}
