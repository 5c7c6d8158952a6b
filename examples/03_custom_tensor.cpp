// Input that is no picture: floats of any number of channels, taken as they are. The plan is measured on such inputs,
// progress goes to the terminal, and Ctrl-C ends the work with nothing half done.
#include <sotto/client.h>
#include <sotto/server.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

std::atomic<bool> stop = false;

// Made-up readings of a sensor.
std::vector<float> readings(std::size_t count, float phase) {
  std::vector<float> values(count);
  for (std::size_t k = 0; k < count; ++k)
    values[k] = std::sin(0.7f * static_cast<float>(k) + phase + 0.001f * static_cast<float>(k * k % 997));
  return values;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: 03_custom_tensor MODEL.onnx CHANNELS ROWS COLUMNS\n"), 2;
  std::signal(SIGINT, [](int) { stop = true; });
  const sotto::Hooks hooks{
      .progress =
          [](const sotto::Progress& p) { std::fprintf(stderr, "\r%-20s %3.0f %%", p.stage.c_str(), 100 * p.done); },
      .note = [](const std::string& text) { std::fprintf(stderr, "\rnote: %s\n", text.c_str()); },
      .stop = &stop};
  try {
    const std::size_t channels = std::stoul(argv[2]), rows = std::stoul(argv[3]), columns = std::stoul(argv[4]);
    const std::size_t each = channels * rows * columns;
    const std::vector<float> known = readings(100 * each, 0), fresh = readings(20 * each, 1);
    sotto::PlanOptions options;
    options.images = 20;
    options.calibration = sotto::ImagesView(known, channels, rows, columns);
    const sotto::Plan plan = sotto::Plan::compile(argv[1], options, hooks);
    const sotto::Client client(plan.client_spec(), sotto::SecretKey::generate());
    sotto::Bytes keys, query, reply;
    client.write_evaluation_keys(sotto::Sink(keys), hooks);
    client.encrypt(sotto::ImagesView(fresh, channels, rows, columns), sotto::Sink(query), hooks);
    sotto::Server server(plan);
    sotto::EvaluationKeys opened = server.open_keys(sotto::Source(std::move(keys)));
    server.infer(sotto::Source(std::move(query)), opened, sotto::Sink(reply), hooks);
    const sotto::Results results = client.decrypt(sotto::Source(std::move(reply)), {}, hooks);
    std::fprintf(stderr, "\n");
    for (std::size_t i = 0; i < results.images; ++i)
      for (std::size_t c = 0; c < results.classes; ++c)
        std::printf("%.6f%c", results.scores[i * results.classes + c], c + 1 == results.classes ? '\n' : ' ');
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "\n%s\n", e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {  // numbers that are none
    std::fprintf(stderr, "\n%s\n", e.what());
    return 2;
  }
}
