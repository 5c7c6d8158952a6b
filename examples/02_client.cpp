// The client of example 02: owns the images and the secret key. It starts the server and talks to it over a socket
// pair, as it would over a network.
#include <sotto/client.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "02_messages.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: 02_client MODEL.onnx SERVER_PROGRAM\n"), 2;
  std::signal(SIGPIPE, SIG_IGN);  // a server that has gone is an error, not an end
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return std::perror("socketpair"), 1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(sockets[0]);
    ::execl(argv[2], argv[2], argv[1], std::to_string(sockets[1]).c_str(), nullptr);
    std::perror(argv[2]);
    std::_Exit(1);
  }
  ::close(sockets[1]);
  int code = 0;
  try {
    const auto spec = sotto::ClientSpec::read(sotto::Source(receive_message(sockets[0]), "the server's description"));
    const sotto::Client client(spec, sotto::SecretKey::generate());
    sotto::Bytes bytes;
    client.write_evaluation_keys(sotto::Sink(bytes));
    send_message(sockets[0], bytes);
    const auto each = static_cast<std::size_t>(spec.channels() * spec.height() * spec.width());
    for (int query = 0; query < 2; ++query) {
      std::vector<std::uint8_t> pixels(5 * each);
      for (std::size_t k = 0; k < pixels.size(); ++k)
        pixels[k] = static_cast<std::uint8_t>(k * k + 31 * static_cast<std::size_t>(query));
      client.encrypt(sotto::ImagesView(pixels, static_cast<std::size_t>(spec.channels()),
                                       static_cast<std::size_t>(spec.height()), static_cast<std::size_t>(spec.width())),
                     sotto::Sink(bytes));
      send_message(sockets[0], bytes);
      const sotto::Results results = client.decrypt(sotto::Source(receive_message(sockets[0]), "the server's reply"));
      std::printf("client: labels");
      for (int label : results.labels) std::printf(" %d", label);
      std::printf("\n");
      std::fflush(stdout);
    }
    send_message(sockets[0], {});
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "client: %s\n", e.what());
    code = static_cast<int>(e.code());
  }
  ::close(sockets[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return code != 0 ? code : WEXITSTATUS(status);
}
