// The server of example 02: owns the model and never sees a secret key. 02_client starts it.
#include <sotto/server.h>

#include <cstdio>
#include <cstdlib>

#include "02_messages.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "02_server MODEL.onnx SOCKET is started by 02_client\n"), 2;
  try {
    const int socket = std::atoi(argv[2]);
    const sotto::Plan plan = sotto::Plan::compile(argv[1], {.images = 10});
    sotto::Bytes spec;
    plan.client_spec().write(sotto::Sink(spec));
    send_message(socket, spec);

    // Keys come once, inputs as often as the client likes; an empty message ends it.
    sotto::Server server(plan);
    sotto::EvaluationKeys keys = server.open_keys(sotto::Source(receive_message(socket), "the client's keys"));
    for (;;) {
      sotto::Bytes query = receive_message(socket), reply;
      if (query.empty()) return 0;
      const auto report =
          server.infer(sotto::Source(std::move(query), "the client's images"), keys, sotto::Sink(reply));
      std::printf("server: %zu encrypted images in %.2f s\n", static_cast<std::size_t>(report.images),
                  report.compute_seconds);
      std::fflush(stdout);
      send_message(socket, reply);
    }
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "server: %s\n", e.what());
    return static_cast<int>(e.code());
  }
}
