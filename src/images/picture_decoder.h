#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "base/error.h"
#include "decode/protocol.h"
#include "images/image.h"

namespace sotto::images {

/// Has pictures decoded by sotto-decode, a process without rights (docs/adr/0040). It ends with the thread that started
/// it. What comes back is checked, and nothing of it is believed: whoever wrote the picture may have taken over that
/// process.
class PictureDecoder {
 public:
  /// program: the path of sotto-decode; empty: in the folder of the running program. patience: how long it may take to
  /// say something. check_stop: called while that is waited for; what it throws ends process and wait. Nothing is
  /// started yet.
  explicit PictureDecoder(std::filesystem::path program = {}, std::chrono::seconds patience = std::chrono::seconds(120),
                          std::function<void()> check_stop = {});
  ~PictureDecoder();
  PictureDecoder(const PictureDecoder&) = delete;
  PictureDecoder& operator=(const PictureDecoder&) = delete;

  /// The pixels of a PNG or JPEG file, with 1 or 3 channels, upright. check_size: called once, before a picture is
  /// decoded, with its width and height; throws to refuse it. Throws Error{bad_input}, without the file's name, for
  /// files that cannot be decoded or that end the process, Error{internal} if that cannot be started.
  Image decode(std::span<const unsigned char> file,
               const std::function<void(std::uint64_t width, std::uint64_t height)>& check_size);

  /// Whether the process, if one was started, may still make system calls: the system allowed no filter.
  [[nodiscard]] bool weakly_confined() const { return weak_; }
  /// The process; 0: none runs.
  [[nodiscard]] pid_t process() const { return process_; }

 private:
  void start();
  void stop();
  void send(const void* data, std::size_t bytes);
  void receive(void* data, std::size_t bytes);
  void wait_until_ready(short events);
  // The next answer, of that kind; if the file is refused instead, throws what is said of it.
  void receive_answer(decode::Answer& answer, decode::AnswerKind expected);
  [[noreturn]] void fail(const std::string& what, ErrorCode code = ErrorCode::bad_input);
  [[noreturn]] void fail_as_ended();
  [[noreturn]] void fail_as_nonsense();
  [[nodiscard]] bool used_up() const;

  std::filesystem::path program_;
  std::chrono::milliseconds patience_;
  std::function<void()> check_stop_;
  pid_t process_ = 0;
  int socket_ = -1;
  bool weak_ = false;
};

}  // namespace sotto::images
