#pragma once

#include <nanobind/nanobind.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "sotto/hooks.h"
#include "sotto/io.h"
#include "sotto/spec.h"

/// What both extension modules share. Each links its own copy of it; types are known to both, as whichever module is
/// loaded first makes them.
namespace sotto::python {

namespace nb = nanobind;

/// The contents of a Sotto file in memory. Python objects share them; nobody copies or changes them.
struct Buffer {
  std::shared_ptr<const Bytes> bytes;
};

/// Adds Buffer, ClientSpec, SigningKey and the translation of errors to a module.
void bind_shared(nb::module_& module);

/// "128", "192" or "quantum128"; the package sees to that it is one of them.
Security security_named(const std::string& name);

/// A path or a Buffer. name: what messages call a Buffer.
Source source_of(nb::handle from, const char* name);

/// Writes to a path, or into a Buffer if there is none, which it returns (None otherwise).
class Target {
 public:
  explicit Target(const std::optional<std::filesystem::path>& path) : path_(path) {}
  [[nodiscard]] Sink sink() { return path_ ? Sink(*path_) : Sink(*bytes_); }
  [[nodiscard]] nb::object result() const;

 private:
  std::optional<std::filesystem::path> path_;
  std::shared_ptr<Bytes> bytes_ = std::make_shared<Bytes>();
};

/// Does work in a thread of its own while this one, which holds the interpreter's lock only now and then, looks for
/// Ctrl-C and calls progress(stage, done, what) and note(text); either may be None. What these raise stops the work.
void run(nb::handle progress, nb::handle note, const std::function<void(const Hooks&)>& work);

/// The same for work that nobody follows.
void run(const std::function<void()>& work);

}  // namespace sotto::python
