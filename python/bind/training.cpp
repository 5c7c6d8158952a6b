#include "training.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "arrays.h"
#include "images.h"

namespace sotto::python {

namespace {

using Path = std::filesystem::path;

TrainingPlan compile(const Path& model, const std::string& spec, const std::string& name,
                     const std::optional<ImageArray>& calibration, const std::string& security,
                     const std::string& signer, nb::handle note) {
  std::optional<TrainingPlan> plan;
  std::optional<ImagesView> images;
  if (calibration) images = view_of(*calibration);
  run(nb::none(), note, [&](const Hooks& hooks) {
    plan = TrainingPlan::compile(model, spec, name, hooks, images, security_named(security), signer);
  });
  return *plan;
}

TrainingPlan read(nb::handle from) {
  const Source source = source_of(from, "the training plan");
  std::optional<TrainingPlan> plan;
  run([&] { plan = TrainingPlan::read(source); });
  return *plan;
}

nb::object write(const TrainingPlan& plan, const std::optional<Path>& path) {
  Target to(path);
  run([&] { plan.write(to.sink()); });
  return to.result();
}

nb::object write_client(const TrainingPlan& plan, const std::optional<Path>& path) {
  Target to(path);
  run([&] { plan.write_client(to.sink()); });
  return to.result();
}

TrainingResult simulate(const TrainingPlan& plan, const ImageArray& images, const LabelArray& labels,
                        nb::handle progress, nb::handle note) {
  TrainingResult result;
  run(progress, note, [&, view = view_of(images), classes = view_of(labels)](const Hooks& hooks) {
    result = plan.simulate(view, classes, hooks);
  });
  return result;
}

nb::object write_model(const TrainingPlan& plan, const TrainingResult& result, const std::optional<Path>& path) {
  Target to(path);
  run([&] { plan.write_model(to.sink(), result.weights); });
  return to.result();
}

nb::list list_of(const std::vector<TrainedWeights>& weights) {
  nb::list out;
  for (const TrainedWeights& w : weights)
    out.append(nb::make_tuple(w.layer, w.bias, array_of(w.values, {w.shape.begin(), w.shape.end()})));
  return out;
}

nb::list weights_of_file(const Path& model) {
  std::vector<TrainedWeights> weights;
  run([&] { weights = weights_of_model(model); });
  return list_of(weights);
}

nb::dict peaks(const TrainingResult& result) {
  nb::dict out;
  for (const TrainingPeak& p : result.peaks) out[nb::str(p.value.c_str())] = p.largest;
  return out;
}

}  // namespace

void bind_training(nb::module_& module) {
  if (const nb::handle plan = nb::type<TrainingPlan>(); plan.is_valid()) {
    module.attr("TrainingPlan") = plan;
    module.attr("TrainingResult") = nb::type<TrainingResult>();
    return;
  }
  nb::class_<TrainingResult>(module, "TrainingResult")
      .def_prop_ro("losses", [](const TrainingResult& r) { return array_of(r.losses, {r.losses.size()}); })
      .def_prop_ro("weights", [](const TrainingResult& r) { return list_of(r.weights); })
      .def_prop_ro("peaks", peaks)
      .def_prop_ro("overflow", [](const TrainingResult& r) { return r.overflow; })
      .def_prop_ro("images_out_of_range", [](const TrainingResult& r) { return r.images_out_of_range; })
      .def_prop_ro("spoiled", [](const TrainingResult& r) { return r.spoiled; })
      .def_prop_ro("summary", [](const TrainingResult& r) { return r.summary; })
      .def_prop_ro("largest_weight", [](const TrainingResult& r) { return r.largest_weight; })
      .def_prop_ro("largest_velocity", [](const TrainingResult& r) { return r.largest_velocity; })
      .def_prop_ro("input_id", [](const TrainingResult& r) { return r.input_id; });
  nb::class_<TrainingPlan>(module, "TrainingPlan")
      .def_static("compile", compile, nb::arg("model"), nb::arg("spec"), nb::arg("name"), nb::arg("calibration").none(),
                  nb::arg("security"), nb::arg("signer"), nb::arg("note").none())
      .def_static("read", read)
      .def("write", write, nb::arg("path").none())
      .def("write_client", write_client, nb::arg("path").none())
      .def("simulate", simulate, nb::arg("images"), nb::arg("labels"), nb::arg("progress").none(),
           nb::arg("note").none())
      .def("write_model", write_model, nb::arg("result"), nb::arg("path").none())
      .def_static("weights_of_model", weights_of_file)
      .def_prop_ro("client_spec", &TrainingPlan::client_spec)
      .def_prop_ro("weights", [](const TrainingPlan& p) { return list_of(p.weights()); })
      .def_prop_ro("steps", &TrainingPlan::steps)
      .def_prop_ro("batch", &TrainingPlan::batch)
      .def_prop_ro("range", &TrainingPlan::range)
      .def_prop_ro("memory", &TrainingPlan::memory)
      .def_prop_ro("key_bytes", &TrainingPlan::key_bytes)
      .def_prop_ro("seconds_per_step", [](const TrainingPlan& p) { return p.seconds_per_step(); })
      .def_prop_ro("feature_seconds", [](const TrainingPlan& p) { return p.feature_seconds(); });
}

}  // namespace sotto::python
