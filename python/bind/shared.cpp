#include "shared.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <system_error>

#include "sotto/error.h"
#include "sotto/signing.h"
#include "sotto/spec.h"
#include "sotto/version.h"

namespace sotto::python {

namespace {

const char* name_of(Setting setting) {
  switch (setting) {
    case Setting::none:
      break;
    case Setting::agreement:
      return "agreement";
    case Setting::calibration:
      return "calibration";
    case Setting::count:
      return "count";
    case Setting::fit:
      return "fit";
    case Setting::function_error:
      return "function_error";
    case Setting::keys:
      return "keys";
    case Setting::layout:
      return "layout";
    case Setting::memory:
      return "memory";
    case Setting::scratch:
      return "scratch";
    case Setting::signing_key:
      return "signing_key";
  }
  return "";
}

const char* name_of(Security security) {
  switch (security) {
    case Security::classical128:
      break;
    case Security::classical192:
      return "192";
    case Security::quantum128:
      return "quantum128";
  }
  return "128";
}

// Python's own class for it, made by the package.
void raise(ErrorCode code, const std::string& what, Setting setting = Setting::none) {
  try {
    const nb::object error =
        nb::module_::import_("sotto._errors").attr("make")(static_cast<int>(code), what, name_of(setting));
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  } catch (nb::python_error& e) {
    e.restore();
  }
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& e) {
    raise(e.code(), e.what(), e.setting());
  } catch (const std::filesystem::filesystem_error& e) {
    const bool shortage = e.code() == std::errc::too_many_files_open ||
                          e.code() == std::errc::too_many_files_open_in_system ||
                          e.code() == std::errc::not_enough_memory;
    raise(shortage ? ErrorCode::no_resources : ErrorCode::bad_input, e.what());
  } catch (const std::system_error& e) {
    raise(ErrorCode::no_resources, std::string("the system refuses: ") + e.what());
  }
}

int view_of(PyObject* self, Py_buffer* view, int flags) {
  const Bytes& bytes = *nb::inst_ptr<Buffer>(self)->bytes;
  return PyBuffer_FillInfo(view, self, const_cast<unsigned char*>(bytes.data()), static_cast<Py_ssize_t>(bytes.size()),
                           1, flags);
}

PyType_Slot buffer_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(view_of)}, {0, nullptr}};

// From whatever has bytes, one after another: the one copy.
void copy_of(Buffer* self, nb::handle from) {
  Py_buffer view;
  if (PyObject_GetBuffer(from.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
  const auto* data = static_cast<const unsigned char*>(view.buf);
  const auto bytes = std::make_shared<const Bytes>(data, data + view.len);
  PyBuffer_Release(&view);
  new (self) Buffer{bytes};
}

void bind_buffer(nb::module_& m) {
  nb::class_<Buffer>(m, "Buffer", nb::type_slots(buffer_slots))
      .def("__init__", copy_of)
      .def("__len__", [](const Buffer& self) { return self.bytes->size(); });
}

void bind_spec(nb::module_& m) {
  nb::class_<ClientSpec>(m, "ClientSpec")
      .def_static("read",
                  [](nb::handle from) {
                    const Source source = source_of(from, "the client's description");
                    std::optional<ClientSpec> spec;
                    run([&] { spec = ClientSpec::read(source); });
                    return *spec;
                  })
      .def(
          "write",
          [](const ClientSpec& self, const std::optional<std::filesystem::path>& path) {
            Target to(path);
            self.write(to.sink());
            return to.result();
          },
          nb::arg("path").none())
      .def_prop_ro("network", &ClientSpec::network)
      .def_prop_ro("plan_id", &ClientSpec::plan_id)
      .def_prop_ro("batch", &ClientSpec::batch)
      .def_prop_ro("channels", &ClientSpec::channels)
      .def_prop_ro("height", &ClientSpec::height)
      .def_prop_ro("width", &ClientSpec::width)
      .def_prop_ro("scores", &ClientSpec::scores)
      .def_prop_ro("security", [](const ClientSpec& spec) { return name_of(spec.security()); })
      .def_prop_ro("signer", &ClientSpec::signer)
      .def_prop_ro("classes", &ClientSpec::classes)
      .def_prop_ro("mean", &ClientSpec::mean)
      .def_prop_ro("std", &ClientSpec::standard_deviation);
}

void bind_signing(nb::module_& m) {
  nb::class_<SigningKey>(m, "SigningKey")
      .def_static("generate", &SigningKey::generate)
      .def_static("read", &SigningKey::read)
      .def("write", &SigningKey::write, nb::arg("path"))
      .def_prop_ro("verification_key", &SigningKey::verification_key);
}

}  // namespace

Security security_named(const std::string& name) {
  for (const Security s : {Security::classical192, Security::quantum128})
    if (name == name_of(s)) return s;
  return Security::classical128;
}

Source source_of(nb::handle from, const char* name) {
  if (nb::isinstance<Buffer>(from)) return Source(nb::cast<const Buffer&>(from).bytes, name);
  return nb::cast<std::filesystem::path>(from);
}

nb::object Target::result() const { return path_ ? nb::none() : nb::cast(Buffer{bytes_}); }

void bind_shared(nb::module_& module) {
  module.attr("__version__") = SOTTO_VERSION;
  if (const nb::handle buffer = nb::type<Buffer>(); buffer.is_valid()) {
    module.attr("Buffer") = buffer;
    module.attr("ClientSpec") = nb::type<ClientSpec>();
    module.attr("SigningKey") = nb::type<SigningKey>();
    return;
  }
  nb::register_exception_translator(translate);
  bind_buffer(module);
  bind_spec(module);
  bind_signing(module);
}

}  // namespace sotto::python
