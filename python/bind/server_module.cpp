// sotto._server: compiler and inference. It links no code for secret keys.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "images.h"
#include "shared.h"
#include "sotto/server.h"
#include "sotto/trainer.h"
#include "training.h"

namespace sotto::python {

namespace {

using Path = std::filesystem::path;

Plan compile(const Path& model, int images, double agreement, std::uint64_t memory, bool precise,
             std::optional<double> function_error, const std::optional<ImageArray>& calibration,
             const std::string& security, const std::string& signer, nb::handle progress, nb::handle note) {
  PlanOptions options{images, agreement, memory, precise, security_named(security), function_error, {}, signer};
  if (calibration) options.calibration = view_of(*calibration);
  std::optional<Plan> plan;
  run(progress, note, [&](const Hooks& hooks) { plan = Plan::compile(model, options, hooks); });
  return *plan;
}

Plan read_plan(nb::handle from) {
  const Source source = source_of(from, "the model");
  std::optional<Plan> plan;
  run([&] { plan = Plan::read(source); });
  return *plan;
}

nb::object write_plan(const Plan& plan, const std::optional<Path>& path) {
  Target to(path);
  run([&] { plan.write(to.sink()); });
  return to.result();
}

// Server or Trainer.
template <class Computer>
EvaluationKeys open_keys(const Computer& server, nb::handle from) {
  const Source source = source_of(from, "the evaluation keys");
  std::optional<EvaluationKeys> keys;
  run([&] { keys = server.open_keys(source); });
  return std::move(*keys);
}

nb::object infer(Server& server, nb::handle query, EvaluationKeys& keys, const std::optional<Path>& path,
                 nb::handle progress, nb::handle public_key) {
  const Source source = source_of(query, "the query");
  const auto renewing =
      public_key.is_none() ? std::nullopt : std::optional<Source>(source_of(public_key, "the public key"));
  Target to(path);
  InferenceReport r;
  run(progress, nb::none(), [&](const Hooks& hooks) { r = server.infer(source, keys, to.sink(), hooks, renewing); });
  nb::dict report;
  report["images"] = r.images;
  report["batches"] = r.batches;
  report["batches_of_an_earlier_run"] = r.batches_of_an_earlier_run;
  report["read_seconds"] = r.read_seconds;
  report["compute_seconds"] = r.compute_seconds;
  report["write_seconds"] = r.write_seconds;
  return nb::make_tuple(to.result(), report);
}

nb::object train(Trainer& trainer, nb::handle query, EvaluationKeys& keys, const std::optional<Path>& path,
                 nb::handle progress) {
  const Source source = source_of(query, "the query");
  Target to(path);
  TrainingReport r;
  run(progress, nb::none(), [&](const Hooks& hooks) { r = trainer.train(source, keys, to.sink(), hooks); });
  nb::dict report;
  report["steps"] = r.steps;
  report["steps_of_an_earlier_run"] = r.steps_of_an_earlier_run;
  report["images"] = r.images;
  report["feature_seconds"] = r.feature_seconds;
  report["read_seconds"] = r.read_seconds;
  report["compute_seconds"] = r.compute_seconds;
  report["write_seconds"] = r.write_seconds;
  report["step_seconds"] = r.step_seconds;
  return nb::make_tuple(to.result(), report);
}

nb::list layers(const Plan& plan, int threads) {
  static constexpr const char* kKinds[] = {"sum", "square", "product", "polynomial", "bootstrap"};
  nb::list out;
  for (const Layer& l : plan.layers(threads))
    out.append(nb::make_tuple(l.name, kKinds[static_cast<int>(l.kind)], nb::make_tuple(l.channels, l.height, l.width),
                              l.ciphertexts, l.limbs, l.key_switches, l.seconds, l.memory));
  return out;
}

}  // namespace

NB_MODULE(_server, m) {
  bind_shared(m);
  bind_training(m);
  nb::class_<Plan>(m, "Plan")
      .def_static("compile", compile, nb::arg("model"), nb::arg("images"), nb::arg("agreement"), nb::arg("memory"),
                  nb::arg("precise"), nb::arg("function_error").none(), nb::arg("calibration").none(),
                  nb::arg("security"), nb::arg("signer"), nb::arg("progress").none(), nb::arg("note").none())
      .def_static("read", read_plan)
      .def("write", write_plan, nb::arg("path").none())
      .def_prop_ro("client_spec", &Plan::client_spec)
      .def_prop_ro("batch", &Plan::batch)
      .def_prop_ro("predicted_agreement", &Plan::predicted_agreement)
      .def_prop_ro("predicted_score_error", &Plan::predicted_score_error)
      .def_prop_ro("score_spread", &Plan::score_spread)
      .def("seconds", &Plan::seconds, nb::arg("threads"))
      .def("layers", layers, nb::arg("threads"))
      .def_prop_ro("memory", &Plan::memory)
      .def_prop_ro("least_memory", &Plan::least_memory);
  nb::class_<EvaluationKeys>(m, "EvaluationKeys").def_prop_ro("key_id", &EvaluationKeys::key_id);
  nb::class_<Server>(m, "Server")
      .def(
          "__init__",
          [](Server* self, const Plan& plan, std::uint64_t memory, const Path& scratch,
             const std::optional<SigningKey>& signing_key, bool owners_only) {
            run([&] { new (self) Server(plan, {memory, scratch, signing_key, owners_only}); });
          },
          nb::arg("plan"), nb::arg("memory"), nb::arg("scratch"), nb::arg("signing_key").none(), nb::arg("owners_only"))
      .def("open_keys", open_keys<Server>)
      .def("infer", infer, nb::arg("query"), nb::arg("keys"), nb::arg("path").none(), nb::arg("progress").none(),
           nb::arg("public_key").none());
  nb::class_<Trainer>(m, "Trainer")
      .def(
          "__init__",
          [](Trainer* self, const TrainingPlan& plan, std::uint64_t memory,
             const std::optional<SigningKey>& signing_key, bool owners_only) {
            run([&] { new (self) Trainer(plan, {memory, {}, signing_key, owners_only}); });
          },
          nb::arg("plan"), nb::arg("memory"), nb::arg("signing_key").none(), nb::arg("owners_only"))
      .def("open_keys", open_keys<Trainer>)
      .def("train", train, nb::arg("query"), nb::arg("keys"), nb::arg("path").none(), nb::arg("progress").none());
}

}  // namespace sotto::python
