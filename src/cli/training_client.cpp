#include "cli/training_client.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "base/hex.h"
#include "cli/console.h"
#include "cli/exit_codes.h"
#include "cli/input_notes.h"
#include "cli/require_known.h"
#include "graph/onnx_weights.h"
#include "lowering/features.h"
#include "lowering/plan_file.h"
#include "training/trained.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace fs = std::filesystem;

namespace {

lowering::TrainingPlan read_client(const std::string& path) {
  return lowering::read_training_plan(path, wire::Kind::client);
}

client::Keys read_keys(const lowering::TrainingPlan& plan, const std::string& keys) {
  return client::read_keys(ckks::Parameters::create(plan.parameters), keys);
}

// As folders of pictures have them.
std::string names_of_classes(const plan::Interface& io) {
  if (io.classes.empty()) return fmt::format("a number, 0 to {}, as these classes have no names", io.outputs - 1);
  return fmt::format("a class of the network, {} .. {}", io.classes.front(), io.classes.back());
}

}  // namespace

std::vector<training::Example> examples_of(const std::vector<images::Image>& images, const plan::Interface& io) {
  std::vector<training::Example> list;
  list.reserve(images.size());
  for (const images::Image& i : images) {
    if (i.label < 0)
      throw Error(ErrorCode::bad_input,
                  "image " + i.name +
                      " has no label: a training needs the class of every image, in an array 'labels' "
                      "of an .npz, or as the name of a picture's folder: " +
                      names_of_classes(io));
    list.push_back({images::preprocess(i, io), i.label});
  }
  return list;
}

std::vector<std::string> training_half(std::vector<std::string> sources) {
  const std::string name = "mnist:";
  for (std::string& s : sources) {
    if (!s.starts_with(name)) continue;
    const fs::path dir = s.substr(name.size());
    std::error_code unknown;
    for (const char* file : {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"})
      if (fs::exists(dir / file, unknown)) {
        s = "mnist-train:" + dir.string();
        break;
      }
  }
  return sources;
}

std::string overflow_line(int overflow, const training::Spec& spec) {
  const std::string note = training::overflow_note(overflow, spec);
  const bool sgd = spec.optimiser == training::Spec::Optimiser::sgd;
  return note.empty() || !sgd ? note : note + " (sotto train --simulate shows both)";
}

std::string format_loss(double loss) {
  constexpr double kLeast = 5e-5, kMost = 1e5;
  if (std::abs(loss) < kLeast) return "0.0000";
  return std::abs(loss) < kMost ? fmt::format("{:.4f}", loss) : fmt::format("{:.3g}", loss);
}

void require_onnx_name(const std::string& path) {
  const fs::path ending = fs::path(path).extension();
  if (!ending.empty() && ending != ".onnx")
    throw Error(ErrorCode::usage, "--out takes the trained network, an ONNX file: name it FILE.onnx, not " + path);
}

int encrypt_training(const TrainingEncryption& o, StepReport& report) {
  const lowering::TrainingPlan plan = read_client(o.client);
  require_known(o.keys, o.client, plan.id);
  DataOptions data = o.data;
  data.data = training_half(data.data);
  const auto images = load_images(data, plan.io, data.count, images::TrueLabels::needed);
  const auto examples = examples_of(images, plan.io);
  const client::Keys keys = read_keys(plan, o.keys);
  report.add_lap("read_seconds");
  report.add("key_id", keys.secret.id());
  const inputs::InputName name = [&] {
    ProgressLine line("encryption");
    return client::encrypt_examples(plan, keys, examples, o.out,
                                    [&](std::size_t done, std::size_t total) { line.update(done, total); });
  }();
  remember_input(o.keys, name.id,
                 {data.data, data.start, images.size(), images::digest_of(images), data.reading.fit(),
                  data.reading.layout, to_hex(name.digest)});
  report.add("input_id", name.id);
  report.add_lap("encrypt_seconds");
  const std::size_t batch = static_cast<std::size_t>(plan.spec.batch), batches = examples.size() / batch;
  report.add("images", batches * batch);
  report.add("batches", batches);
  report.add_bytes("input_bytes", o.out);
  report.write();
  if (examples.size() > batches * batch)
    print_note(fmt::format("{} images are left over: batches are of {}", examples.size() - batches * batch, batch));
  if (report.streamed()) return 0;
  fmt::print("encrypted {} images with their labels in {} batches of {}: {} ({})\n", batches * batch, batches, batch,
             o.out, format_bytes(static_cast<double>(fs::file_size(o.out))));
  return 0;
}

int decrypt_training(const TrainingDecryption& o, StepReport& report) {
  const bool streamed = wire::require_outputs(std::array{o.out}, std::array{o.csv, report.path()});
  const lowering::TrainingPlan plan = read_client(o.client);
  require_known(o.keys, o.client, plan.id);
  const client::Keys keys = read_keys(plan, o.keys);
  const client::Origin origin = expected_origin(o.origin, o.in, o.keys, keys.secret.id());
  ProgressLine line("decryption");
  const client::DecryptedTraining result = client::decrypt_training(
      plan, keys, o.in, [&](std::size_t done, std::size_t total) { line.update(done, total); }, origin);
  report.add_lap("decrypt_seconds");
  const std::string note =
      result.spoiled ? training::range_note(result.out_of_range, true) : overflow_line(result.overflow, plan.spec);
  const std::string warning = result.spoiled ? "" : training::range_note(result.out_of_range, false);
  const std::vector<std::vector<double>>& weights = result.states.back().weights;
  if (!o.out.empty() && note.empty())
    graph::write_onnx(Source(plan.model, plan.network), o.out, lowering::weights_of_model(plan, weights));
  if (!o.csv.empty()) {
    std::string text = "step,loss\n";
    for (std::size_t s = 0; s < result.losses.size(); ++s) text += fmt::format("{},{:.9g}\n", s + 1, result.losses[s]);
    wire::write_file(o.csv, text);
  }
  note_origin(o.keys, keys.secret.id(), result.file, report);
  report.add("steps", result.losses.size());
  report.add("loss", result.losses);
  report.add("overflow", result.overflow);
  report.add("images_out_of_range", result.out_of_range);
  report.add_bytes("output_bytes", o.in);
  report.write();
  if (!note.empty()) {
    print_error("sotto: " + note + "; no network was written\n");
    return kDoubtful;
  }
  if (!warning.empty()) print_error("sotto: " + warning + "\n");
  const int code = warning.empty() ? 0 : kDoubtful;
  if (streamed) return code;
  fmt::print("{} steps; loss {} before the first, {} before the last\n", result.losses.size(),
             format_loss(result.losses.front()), format_loss(result.losses.back()));
  if (!o.out.empty()) fmt::print("wrote {}: the network with the trained weights\n", o.out);
  return code;
}

}  // namespace sotto::cli
