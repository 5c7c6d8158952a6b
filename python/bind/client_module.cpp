// sotto._client: secret key, encryption, decryption; encryption with a public key.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "images.h"
#include "shared.h"
#include "sotto/client.h"
#include "sotto/encryptor.h"
#include "sotto/training_client.h"
#include "training.h"

namespace sotto::python {

namespace {

using Path = std::filesystem::path;

nb::tuple decrypt(const Client& client, nb::handle from, double flood, const std::string& input_id,
                  const std::string& signer, const std::string& input_signer, nb::handle progress) {
  const Source source = source_of(from, "the reply");
  Results r;
  run(progress, nb::none(), [&](const Hooks& hooks) {
    r = client.decrypt(source, {flood, {input_id, signer, input_signer}}, hooks);
  });
  std::vector<int> doubts;
  for (const Doubt d : r.doubts) doubts.push_back(static_cast<int>(d));
  return nb::make_tuple(array_of(std::move(r.scores), {r.images, r.classes}), array_of(std::move(r.labels), {r.images}),
                        doubts, r.input_id, r.input_signer, r.summary);
}

nb::dict publish(const Client& client, nb::handle from, const Path& folder, bool scores, double key_bits,
                 std::optional<double> statistical_bits, int releases, const std::string& input_id,
                 const std::string& signer, const std::string& input_signer, nb::handle progress) {
  const Source source = source_of(from, "the reply");
  const PublishOptions options{scores ? Published::scores : Published::labels,
                               key_bits,
                               statistical_bits,
                               releases,
                               {input_id, signer, input_signer}};
  Publication p;
  run(progress, nb::none(), [&](const Hooks& hooks) { p = client.publish(source, folder, options, hooks); });
  nb::dict out;
  out["labels"] = array_of(std::move(p.labels), {p.images});
  if (scores)
    out["scores"] = array_of(std::move(p.scores), {p.images, p.classes});
  else
    out["scores"] = nb::none();
  out["deviation"] = p.deviation;
  out["margin"] = p.margin;
  out["step"] = p.step;
  out["key_bits"] = p.key_bits;
  out["statistical_bits"] = p.statistical_bits;
  out["again"] = p.again;
  out["summary"] = p.summary;
  return out;
}

// Client or Encryptor.
template <class Party>
nb::tuple encrypt(const Party& party, const ImageArray& images, const std::optional<Path>& path, nb::handle progress) {
  Target to(path);
  std::string id;
  run(progress, nb::none(),
      [&, view = view_of(images)](const Hooks& hooks) { id = party.encrypt(view, to.sink(), hooks); });
  return nb::make_tuple(to.result(), id);
}

nb::tuple encrypt_examples(const TrainingClient& client, const ImageArray& images, const LabelArray& labels,
                           const std::optional<Path>& path, nb::handle progress, nb::handle note) {
  Target to(path);
  std::string id;
  run(progress, note, [&, view = view_of(images), classes = view_of(labels)](const Hooks& hooks) {
    id = client.encrypt(view, classes, to.sink(), hooks);
  });
  return nb::make_tuple(to.result(), id);
}

TrainingResult decrypt_training(const TrainingClient& client, nb::handle from, const std::string& input_id,
                                const std::string& signer, nb::handle progress) {
  const Source source = source_of(from, "the reply");
  TrainingResult result;
  run(progress, nb::none(), [&](const Hooks& hooks) {
    result = client.decrypt(source, hooks, {input_id, signer, {}});
  });
  return result;
}

// Client or TrainingClient.
template <class Owner>
nb::object write_keys(const Owner& client, const std::optional<Path>& path, nb::handle progress) {
  Target to(path);
  run(progress, nb::none(), [&](const Hooks& hooks) { client.write_evaluation_keys(to.sink(), hooks); });
  return to.result();
}

nb::object write_keys_of(const SecretKey& key, const std::vector<ClientSpec>& specs, const std::optional<Path>& path,
                         nb::handle progress) {
  Target to(path);
  run(progress, nb::none(), [&](const Hooks& hooks) { write_evaluation_keys(specs, key, to.sink(), hooks); });
  return to.result();
}

nb::object write_public_key(const Client& client, const std::optional<Path>& path) {
  Target to(path);
  run([&] { client.write_public_key(to.sink()); });
  return to.result();
}

}  // namespace

NB_MODULE(_client, m) {
  bind_shared(m);
  bind_training(m);
  nb::class_<SecretKey>(m, "SecretKey")
      .def_static("generate", &SecretKey::generate)
      .def_static("read", &SecretKey::read)
      .def("write", &SecretKey::write, nb::arg("path"), nb::arg("replace"))
      .def("write_evaluation_keys", write_keys_of, nb::arg("specs"), nb::arg("path").none(), nb::arg("progress").none())
      .def_prop_ro("id", &SecretKey::id);
  nb::class_<Client>(m, "Client")
      .def("__init__", [](Client* self, const ClientSpec& spec,
                          const SecretKey& key) { run([&] { new (self) Client(spec, key); }); })
      .def("write_evaluation_keys", write_keys<Client>, nb::arg("path").none(), nb::arg("progress").none())
      .def("write_public_key", write_public_key, nb::arg("path").none())
      .def("encrypt", encrypt<Client>, nb::arg("images"), nb::arg("path").none(), nb::arg("progress").none())
      .def("decrypt", decrypt, nb::arg("reply"), nb::arg("flood"), nb::arg("input_id"), nb::arg("signer"),
           nb::arg("input_signer"), nb::arg("progress").none())
      .def("publish", publish, nb::arg("reply"), nb::arg("folder"), nb::arg("scores"), nb::arg("key_bits"),
           nb::arg("statistical_bits").none(), nb::arg("releases"), nb::arg("input_id"), nb::arg("signer"),
           nb::arg("input_signer"), nb::arg("progress").none());
  nb::class_<TrainingClient>(m, "TrainingClient")
      .def("__init__", [](TrainingClient* self, const TrainingPlan& plan,
                          const SecretKey& key) { run([&] { new (self) TrainingClient(plan, key); }); })
      .def("write_evaluation_keys", write_keys<TrainingClient>, nb::arg("path").none(), nb::arg("progress").none())
      .def("encrypt", encrypt_examples, nb::arg("images"), nb::arg("labels"), nb::arg("path").none(),
           nb::arg("progress").none(), nb::arg("note").none())
      .def("decrypt", decrypt_training, nb::arg("reply"), nb::arg("input_id"), nb::arg("signer"),
           nb::arg("progress").none());
  nb::class_<Encryptor>(m, "Encryptor")
      .def(
          "__init__",
          [](Encryptor* self, const ClientSpec& spec, nb::handle public_key,
             const std::optional<SigningKey>& signing_key) {
            const Source source = source_of(public_key, "the public key");
            run([&] { new (self) Encryptor(spec, source, signing_key); });
          },
          nb::arg("spec"), nb::arg("public_key"), nb::arg("signing_key").none())
      .def_prop_ro("key_id", &Encryptor::key_id)
      .def("encrypt", encrypt<Encryptor>, nb::arg("images"), nb::arg("path").none(), nb::arg("progress").none());
}

}  // namespace sotto::python
