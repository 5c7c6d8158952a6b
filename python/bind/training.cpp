// What both halves share of trainings.
#include "training.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "images.h"
#include "sotto/training_plan.h"

namespace sotto::python {

namespace {

using Path = std::filesystem::path;
using Weights = std::tuple<std::string, bool, std::vector<double>>;  // layer, whether biases, values

nb::object write(const TrainingPlan& plan, const std::optional<Path>& path, bool client) {
  Target to(path);
  run([&] { client ? plan.write_client(to.sink()) : plan.write(to.sink()); });
  return to.result();
}

TrainingResult simulate(const TrainingPlan& plan, const ImageArray& images, const std::vector<int>& labels,
                        nb::handle progress) {
  TrainingResult r;
  run(progress, nb::none(),
      [&, view = view_of(images)](const Hooks& hooks) { r = plan.simulate(view, labels, hooks); });
  return r;
}

std::vector<Weights> weights_of(const TrainingResult& r) {
  std::vector<Weights> out;
  for (const TrainedWeights& w : r.weights) out.emplace_back(w.layer, w.bias, w.values);
  return out;
}

void write_model(const TrainingPlan& plan, const Path& path, const TrainingResult& result) {
  run([&] { plan.write_model(path, result.weights); });
}

}  // namespace

void bind_training(nb::module_& m) {
  if (const nb::handle plan = nb::type<TrainingPlan>(); plan.is_valid()) {  // the other module has made them
    m.attr("TrainingPlan") = plan;
    m.attr("TrainingResult") = nb::type<TrainingResult>();
    return;
  }
  nb::class_<TrainingResult>(m, "TrainingResult")
      .def_ro("losses", &TrainingResult::losses)
      .def_prop_ro("weights", weights_of)
      .def_ro("overflow", &TrainingResult::overflow)
      .def_ro("largest_weight", &TrainingResult::largest_weight)
      .def_ro("largest_velocity", &TrainingResult::largest_velocity);
  nb::class_<TrainingPlan>(m, "TrainingPlan")
      .def_static("compile",
                  [](nb::handle from, const std::string& spec) {
                    const Source source = source_of(from, "the network");
                    std::optional<TrainingPlan> plan;
                    run([&] { plan = TrainingPlan::compile(source, spec); });
                    return *plan;
                  })
      .def_static("read",
                  [](nb::handle from) {
                    const Source source = source_of(from, "the training plan");
                    std::optional<TrainingPlan> plan;
                    run([&] { plan = TrainingPlan::read(source); });
                    return *plan;
                  })
      .def("write", write, nb::arg("path").none(), nb::arg("client"))
      .def("simulate", simulate, nb::arg("images"), nb::arg("labels"), nb::arg("progress").none())
      .def("write_model", write_model, nb::arg("path"), nb::arg("result"))
      .def_prop_ro("client_spec", &TrainingPlan::client_spec)
      .def_prop_ro("steps", &TrainingPlan::steps)
      .def_prop_ro("batch", &TrainingPlan::batch)
      .def_prop_ro("memory", &TrainingPlan::memory)
      .def_prop_ro("key_bytes", &TrainingPlan::key_bytes);
}

}  // namespace sotto::python
