// What client and server of example 02 say to each other over a socket: messages of bytes, each behind its length.
#pragma once

#include <sotto/error.h>
#include <sotto/io.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

inline void send_all(int socket, const void* data, std::size_t size) {
  for (const auto* p = static_cast<const unsigned char*>(data); size > 0;) {
    const ssize_t done = ::write(socket, p, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw sotto::Error(sotto::ErrorCode::bad_input, "the other side has gone");
    p += done, size -= static_cast<std::size_t>(done);
  }
}

inline void receive_all(int socket, void* data, std::size_t size) {
  for (auto* p = static_cast<unsigned char*>(data); size > 0;) {
    const ssize_t done = ::read(socket, p, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw sotto::Error(sotto::ErrorCode::bad_input, "the other side has gone");
    p += done, size -= static_cast<std::size_t>(done);
  }
}

inline void send_message(int socket, const sotto::Bytes& bytes) {
  const std::uint64_t size = bytes.size();
  send_all(socket, &size, sizeof size);
  send_all(socket, bytes.data(), bytes.size());
}

// A message from outside says how long it is: believe it up to a limit only.
inline sotto::Bytes receive_message(int socket, std::uint64_t most = std::uint64_t{8} << 30) {
  std::uint64_t size = 0;
  receive_all(socket, &size, sizeof size);
  if (size > most) throw sotto::Error(sotto::ErrorCode::bad_input, "a message is too long");
  sotto::Bytes bytes;
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 24;  // memory for what came, not for what is announced
  while (bytes.size() < size) {
    const std::size_t at = bytes.size(), next = std::min<std::uint64_t>(kPiece, size - at);
    bytes.resize(at + next);
    receive_all(socket, bytes.data() + at, next);
  }
  return bytes;
}
