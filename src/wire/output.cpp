#include "wire/output.h"

#include <new>
#include <ostream>
#include <utility>

#include "base/error.h"

namespace sotto::wire {

namespace {

class FileOutput : public Output {
 public:
  FileOutput(const std::filesystem::path& path, Access access, std::optional<Kind> kind) : file_(path, access, kind) {}
  void write(std::span<const unsigned char> data) override { file_.write(data); }
  void commit() override { file_.commit(); }

 private:
  AtomicFile file_;
};

class MemoryOutput : public Output {
 public:
  MemoryOutput(Bytes& to, std::uint64_t bytes) : to_(to) {
    try {
      written_.reserve(bytes);
    } catch (const std::bad_alloc&) {
      throw Error(ErrorCode::no_resources, "there is no memory for " + std::to_string(bytes) + " bytes of output");
    }
  }
  void write(std::span<const unsigned char> data) override {
    written_.insert(written_.end(), data.begin(), data.end());
  }
  void commit() override { to_ = std::move(written_); }

 private:
  Bytes& to_;
  Bytes written_;
};

class StreamOutput : public Output {
 public:
  explicit StreamOutput(std::ostream& to) : to_(to) {}
  void write(std::span<const unsigned char> data) override {
    to_.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    require_good();
  }
  void commit() override {
    to_.flush();
    require_good();
  }

 private:
  void require_good() const {
    if (!to_) throw Error(ErrorCode::no_resources, "the stream takes no more output");
  }

  std::ostream& to_;
};

}  // namespace

std::unique_ptr<Output> open_output(const Sink& sink, std::uint64_t bytes, Access access, std::optional<Kind> kind) {
  if (const auto* path = sink.path()) return std::make_unique<FileOutput>(*path, access, kind);
  if (auto* memory = sink.bytes()) return std::make_unique<MemoryOutput>(*memory, bytes);
  return std::make_unique<StreamOutput>(*sink.stream());
}

}  // namespace sotto::wire
