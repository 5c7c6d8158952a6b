// Writes the inputs that fuzzing begins with, a folder for each target: fuzz-corpus FOLDER. All of them are toys. What
// a fuzzer found is put beside them by hand.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "client/key_files.h"
#include "compiler/lower.h"
#include "encrypt/public_key_file.h"
#include "fuzz/container_input.h"
#include "fuzz/toy_ring.h"
#include "graph/onnx_import.h"
#include "lowering/plan_file.h"
#include "plan/plan_file.h"
#include "secret/keygen.h"
#include "support/chunks.h"
#include "support/onnx_builder.h"
#include "support/pickler.h"
#include "support/plan_builder.h"
#include "support/raw_container.h"
#include "training/differentiate.h"
#include "training/trained.h"
#include "wire/signing_key_file.h"

// Behind <cstdio>, which it needs.
#include <jpeglib.h>

namespace sotto::fuzz {
namespace {

namespace fs = std::filesystem;
using test::append;
using test::Bytes;
using wire::Kind;

fs::path corpus;

void put(const std::string& name, const Bytes& bytes) {
  fs::create_directories((corpus / name).parent_path());
  test::write_bytes(corpus / name, bytes);
}
void put(const std::string& name, const std::string& text) { put(name, Bytes(text.begin(), text.end())); }
void put_container(const std::string& name, const sotto::Bytes& file, Kind kind) {
  put(name, container_input_of(file, kind));
}

void write_containers() {
  put("container/valid-without-sections",
      test::raw_container(Kind::client, R"({"sections": []})", std::vector<Bytes>{}));
  put("container/valid-two-sections",
      test::raw_container(Kind::input, R"({"sections": [3, 1]})", std::vector<Bytes>{{1, 2, 3}, {4}}));
  put("container/valid-secret",
      test::raw_container(Kind::secret_key, R"({"sections": [1], "a": [1, {"b": 2.5}]})", std::vector<Bytes>{{7}}));
  put("container/short", test::raw_container(Kind::plan, R"({"sections": [9]})", std::vector<Bytes>{{1}}));
}

void write_plans() {
  const std::pair<const char*, plan::Plan> plans[] = {{"valid-small", test::small_plan()},
                                                      {"valid-grouped", test::small_grouped_plan()},
                                                      {"valid-slotwise", test::slotwise_plan()}};
  for (const auto& [name, plan] : plans) {
    sotto::Bytes server, client;
    plan::write_plan(Sink(server), plan);
    plan::write_client(Sink(client), plan::client_part(plan));
    put_container(std::string("plan/") + name, server, Kind::plan);
    put_container(std::string("client/") + name, client, Kind::client);
  }
}

// Two dense layers with a square between them.
sotto::Bytes small_model() {
  test::OnnxBuilder b({-1, 1, 4, 4});
  b.node("Flatten", {"x"}, "flat");
  b.ones("w1", {16, 3});
  b.node("MatMul", {"flat", "w1"}, "inner");
  b.node("Mul", {"inner", "inner"}, "squares");
  b.ones("w2", {3, 2});
  b.node("MatMul", {"squares", "w2"}, "y");
  const std::string model = b.model.SerializeAsString();
  return {model.begin(), model.end()};
}

void write_training_plans() {
  training::Spec spec;
  spec.batch = 32;
  spec.steps = 2;
  spec.rate = 0.2;
  spec.momentum = 0.9;
  spec.range = 2;
  const sotto::Bytes model = small_model();
  const graph::Network network = training::network_to_train(graph::import_onnx(Source(model, "toy.onnx")), spec);
  lowering::TrainingPlan plan = lowering::compile(training::differentiate(network, spec), spec, {11, 36});
  plan.network = "toy.onnx";
  plan.model = model;
  plan.io = compiler::interface_of(network);
  plan.id = lowering::plan_id(plan);
  sotto::Bytes file;
  lowering::write_training_plan(Sink(file), plan, Kind::client);
  put_container("training_plan/valid", file, Kind::client);
}

void write_keys() {
  const ToyRing& toy = ToyRing::shared();
  const secret::OwnerKey& owner = toy_owner();
  const signing::SigningKey signing = owner.signing_key();
  const secret::SecretKey key = owner.secret_of(toy.ring);
  const test::TempFolder folder;
  client::write_owner_key(owner, folder / "secret.key", false);
  put("secret_key/valid", container_input_of(test::read_bytes(folder / "secret.key"), Kind::secret_key));

  wire::write_signing_key(folder / "signing.key", signing);
  put("signing_key/valid", container_input_of(test::read_bytes(folder / "signing.key"), Kind::signing_key));

  const secret::KeyGenerator generator(toy.spec.ciphertext_primes, key);
  sotto::Bytes public_key, evaluation;
  encrypt::write_public_key(Sink(public_key), *toy.ring, toy.spec, generator.public_key(2), signing);
  put_container("public_key/valid", public_key, Kind::public_key);
  ckks::KeyFileWriter keys(Sink(evaluation), ckks::KeyList(toy.parameters, toy.request), signing);
  for (const ckks::KeyId& id : toy.request.keys)
    keys.write(*toy.ring,
               generator.switching_key({toy.request.tiers[static_cast<std::size_t>(id.tier)], id.galois_element}));
  keys.commit();
  put_container("eval_key/valid", evaluation, Kind::eval_key);
}

ring::RnsPoly some_poly(const ring::Ring& ring, int limbs) {
  ring::RnsPoly p;
  for (int l = 0; l < limbs; ++l) {
    p.push_back(ring.limb());
    for (std::size_t i = 0; i < ring.n(); ++i)
      p.back().data()[i] = (i * i + static_cast<std::size_t>(l)) % ring.prime(static_cast<std::size_t>(l));
  }
  return p;
}

void write_ciphertexts() {
  const ToyRing& toy = ToyRing::shared();
  ckks::CiphertextFileInfo info{std::string(32, 'a'), std::string(32, 'b'), std::string(32, 'c'), 3, 2, 1, 2, 0x1p30};
  for (const bool seeded : {true, false}) {
    info.seed = seeded ? std::optional(ckks::Seed{}) : std::nullopt;
    sotto::Bytes file;
    ckks::CiphertextWriter writer(Sink(file), Kind::input, *toy.ring, info);
    for (std::uint64_t k = 0; k < info.sections(); ++k) {
      if (seeded)
        writer.write(ckks::SeededCiphertext{some_poly(*toy.ring, 2), *info.seed, k, info.scale});
      else
        writer.write(ckks::Ciphertext{some_poly(*toy.ring, 2), some_poly(*toy.ring, 2), info.scale});
    }
    writer.commit();
    put_container(seeded ? "encrypted_input/valid-secret-key" : "encrypted_input/valid-public-key", file, Kind::input);
  }
  info.seed.reset();
  info.probes = {{1, 0x1p20}};
  for (const bool lead : {false, true}) {
    if (lead) info.lead = {{1, 0x1p30}}, info.leads = 2;
    sotto::Bytes file;
    ckks::CiphertextWriter writer(Sink(file), Kind::output, *toy.ring, info);
    for (std::uint64_t k = 0; k < info.sections(); ++k) {
      const ckks::CiphertextShape shape = info.shape(k);
      writer.write(ckks::Ciphertext{some_poly(*toy.ring, shape.level.limbs), some_poly(*toy.ring, shape.level.limbs),
                                    shape.scale});
    }
    writer.commit();
    put_container(lead ? "encrypted_output/valid-features" : "encrypted_output/valid", file, Kind::output);
  }
}

void write_texts() {
  put("json/valid", R"({"a": [1, -2.5e3, true, null], "\u00e9": {"b": "text"}})");
  put("json/deep", std::string(20, '[') + std::string(20, ']'));
  put("json/many", "[" + std::string(150, '0').replace(1, 0, ",") + "]");
  put("spec/valid",
      "batch = 8\nsteps = 3\nrange = 2.0\nnew_head = 5\nloss = \"softmax\"\n\n[optimiser]\nname = \"sgd\"\nrate = "
      "0.1\nmomentum = 0.9\n"
      "nesterov = true\nweight_decay = 1e-4\n\n[[schedule]]\nstep = 2\nfactor = 0.5\n");
  put("spec/valid-adapter",
      "batch = 8\nsteps = 3\n\n[[adapter]]\nlayer = \"conv\"\nrank = 2\n\n[optimiser]\nname = \"sgd\"\nrate = 0.1\n");
  put("spec/valid-normal-equations",
      "batch = 8\nsteps = 1\n\n[optimiser]\nname = \"normal-equations\"\nridge = 0.001\n");
  put("input_record/valid",
      R"({"sources": ["/a%20b", "cifar10:/c"], "start": 0, "count": 5, "digest": "00", "fit": "crop", "layout": "nhwc", "input_digest": "", "results": ["01"]})");
  put("release/valid",
      R"({"ciphertexts": ["00", "01"], "deviation": "0.09", "divergence": [0, 1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3,
 8e-3, 9e-3, 0.01, 0.02], "images": 5, "key_id": "aa", "plan_id": "bb", "what": "labels"})");
  put("release/valid-of-nothing-secret",
      R"({"ciphertexts": ["lost 0"], "deviation": "1", "divergence": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "images": 1,
 "key_id": "aa", "plan_id": "bb", "what": "scores"})");
}

void write_models() {
  put("onnx/valid-dense", small_model());
  test::OnnxBuilder b({-1, 2, 4, 4});
  b.ones("w", {3, 2, 3, 3});
  auto& conv = b.node("Conv", {"x", "w"}, "c");
  test::OnnxBuilder::set(conv, "kernel_shape", std::vector<std::int64_t>{3, 3});
  test::OnnxBuilder::set(conv, "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  b.node("Relu", {"c"}, "r");
  b.node("Add", {"r", "c"}, "sum");
  b.node("GlobalAveragePool", {"sum"}, "means");
  b.node("Flatten", {"means"}, "y");
  b.metadata("sotto.mean", "0.5,0.25");
  b.metadata("sotto.std", "0.5,0.25");
  b.metadata("sotto.classes", "cat,dog,ship");
  put("onnx/valid-convolution", b.model.SerializeAsString());
}

// What libjpeg makes of a picture of 16 x 8 pixels.
Bytes jpeg(int channels, bool progressive) {
  jpeg_compress_struct c{};
  jpeg_error_mgr errors{};
  c.err = jpeg_std_error(&errors);
  jpeg_create_compress(&c);
  unsigned char* file = nullptr;
  unsigned long bytes = 0;
  jpeg_mem_dest(&c, &file, &bytes);
  c.image_width = 16;
  c.image_height = 8;
  c.input_components = channels;
  c.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&c);
  if (progressive) jpeg_simple_progression(&c);
  jpeg_start_compress(&c, TRUE);
  Bytes row(static_cast<std::size_t>(16 * channels));
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<unsigned char>(i * i);
  JSAMPROW line = row.data();
  while (c.next_scanline < c.image_height) jpeg_write_scanlines(&c, &line, 1);
  jpeg_finish_compress(&c);
  Bytes out(file, file + bytes);
  std::free(file);
  jpeg_destroy_compress(&c);
  return out;
}

void write_images() {
  put("png/valid-colour", test::png(3, 2, 8, 2, Bytes(20, 1)));
  put("png/valid-grey", test::png(3, 2, 1, 0, {0, 0xa0, 0, 0x40}));
  put("png/valid-deep", test::png(1, 1, 16, 2, {0, 1, 2, 3, 4, 5, 6}));
  put("png/valid-palette", test::png(2, 1, 8, 3, {0, 1, 0}, test::png_chunk("PLTE", {10, 20, 30, 40, 50, 60})));
  put("png/valid-opaque", test::png(1, 1, 8, 6, {0, 1, 2, 3, 255}, test::png_chunk("gAMA", {0, 1, 134, 160})));
  put("png/transparent", test::png(1, 1, 8, 4, {0, 9, 0}));
  put("jpeg/valid-colour", jpeg(3, false));
  put("jpeg/valid-grey", jpeg(1, false));
  put("jpeg/valid-progressive", jpeg(3, true));
  put("npy/valid-bytes", test::npy("|u1", "(2, 1, 2, 3)", Bytes(12, 7)));
  put("npy/valid-colour", test::npy("|u1", "(1, 2, 3, 3)", Bytes(18, 9)));
  put("npy/valid-floats", test::npy("<f4", "(1, 2, 3)", Bytes(24)));
  put("npy/valid-halves", test::npy(">f2", "(1, 6)", Bytes(12)));
  put("npy/labels", test::npy("<i8", "(2,)", Bytes(16)));
  const Bytes pixels = test::npy("|u1", "(2, 2, 3)", Bytes(12, 7)), labels = test::npy("<i4", "(2,)", Bytes(8));
  put("npz/valid", test::zip({{"images.npy", pixels}, {"labels.npy", labels}}, false));
  put("npz/valid-packed", test::zip({{"x.npy", pixels}, {"y.npy", labels}}, true));

  Bytes labels_file{0, 0, 8, 1, 0, 0, 0, 2, 1, 3}, images_file{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3};
  append(images_file, Bytes(12, 50));
  for (const bool packed : {false, true}) {
    if (packed) labels_file = test::deflated(labels_file, 31), images_file = test::deflated(images_file, 31);
    Bytes both{static_cast<unsigned char>(labels_file.size())};
    append(both, labels_file);
    append(both, images_file);
    put(packed ? "idx/valid-gzip" : "idx/valid", both);
  }
}

void write_pickles() {
  for (const int protocol : {2, 4}) {
    test::Pickler p(protocol);
    p.labels("labels", {1, 300});
    p.data({1, 2, 3, 4}, 2, 2);
    p.names("names", {"a", "b"});
    put("pickle/valid-" + std::to_string(protocol), p.finish());
  }
}

}  // namespace
}  // namespace sotto::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz-corpus FOLDER\n", stderr);
    return 2;
  }
  using namespace sotto::fuzz;
  corpus = argv[1];
  write_containers();
  write_plans();
  write_training_plans();
  write_keys();
  write_ciphertexts();
  write_texts();
  write_models();
  write_images();
  write_pickles();
  put("kernels/valid-words", std::string("\x00\x01\x00\x01", 4) + "0123456789abcdef");
  for (const char what : {1, 2, 3, 4, 5})
    put("kernels/valid-" + std::to_string(what), std::string({what, 1, 4, 5}) + "0123456789abcdef");
  return 0;
}
