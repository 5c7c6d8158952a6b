#include <fmt/format.h>

#include <array>
#include <memory>

#include "base/error.h"
#include "base/hex.h"
#include "base/text.h"
#include "cli/console.h"
#include "cli/data_options.h"
#include "cli/input_notes.h"
#include "cli/publish.h"
#include "cli/require_known.h"
#include "cli/result_origin.h"
#include "cli/signing_options.h"
#include "cli/step_report.h"
#include "cli/training_client.h"
#include "cli/verbs.h"
#include "client/batch.h"
#include "client/key_files.h"
#include "client/results.h"
#include "client/sheet.h"
#include "images/image_source.h"
#include "inputs/encryptor.h"
#include "lowering/plan_file.h"
#include "plan/plan_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace fs = std::filesystem;

namespace {

struct KeygenOptions {
  std::vector<std::string> clients;
  std::string out, evaluation_keys, public_key;
  bool force = false;
  std::string most = "16G";
  StepReport report;
};

// Of a training all that the file says is checked, not only what keys are made of.
plan::ClientSpec read_description(const std::string& name) {
  if (!lowering::is_training_plan(name, wire::Kind::client)) return plan::read_client(name);
  return lowering::client_part(lowering::read_training_plan(name, wire::Kind::client));
}

// Whoever writes a client description says which keys to make: far more than any network needs are not made unasked.
void require_size(const std::vector<client::PlanToServe>& plans, const std::string& most) {
  ckks::KeyList list;
  for (const client::PlanToServe& p : plans) list.add(p.parameters, p.spec.keys);
  const std::uint64_t bytes = client::evaluation_key_bytes(list);
  if (bytes > parse_bytes(most))
    throw Error(ErrorCode::no_resources,
                fmt::format("these plans ask for {} of evaluation keys; if that is right, allow it (--max-size)",
                            format_bytes(static_cast<double>(bytes))));
}

int keygen(KeygenOptions& o) {
  o.report.start();
  std::vector<client::PlanToServe> plans;
  std::vector<std::string> ids;
  for (const std::string& name : o.clients) {
    plan::ClientSpec spec = read_description(name);
    if (spec.training && !o.public_key.empty())
      throw Error(ErrorCode::usage, name +
                                        " is for training, whose images their owner encrypts, with the secret key: "
                                        "leave out --public-key");
    auto parameters = ckks::Parameters::create(spec.parameters);
    ids.push_back(spec.plan_id);
    plans.push_back({std::move(spec), std::move(parameters)});
  }
  require_size(plans, o.most);
  ProgressLine line("keys");
  const client::MadeKeys made =
      client::make_keys(plans, o.out, {o.evaluation_keys, o.public_key, o.force},
                        [&](std::size_t done, std::size_t total) { line.update(done, total); });
  const fs::path dir = o.out,
                 evaluation_keys = o.evaluation_keys.empty() ? dir / "eval.key" : fs::path(o.evaluation_keys);
  o.report.add("keys", made.evaluation.value_or(0));
  o.report.add("new_secret_key", made.secret);
  o.report.add("key_id", made.key_id);
  o.report.add("plan_ids", ids);
  o.report.add_bytes("eval_key_bytes", evaluation_keys);
  if (!o.public_key.empty()) o.report.add_bytes("public_key_bytes", o.public_key);
  o.report.write();
  if (o.report.streamed()) return 0;
  const auto size = [](const fs::path& file) { return format_bytes(static_cast<double>(fs::file_size(file))); };
  std::vector<std::string> wrote;
  if (made.secret) wrote.push_back((dir / "secret.key").string() + " (keep it secret)");
  if (made.evaluation)
    wrote.push_back(fmt::format("{} ({}, for the server)", evaluation_keys.string(), size(evaluation_keys)));
  if (made.public_key)
    wrote.push_back(fmt::format("{} ({}, for those who encrypt for you)", o.public_key, size(o.public_key)));
  if (wrote.empty())
    fmt::print("{} serves this plan, too\n", o.public_key);
  else
    fmt::print("wrote {}\n", fmt::join(wrote, " and "));
  fmt::print("key id {}: it tells the server whose keys and inputs are yours (infer --client)\n", made.key_id);
  for (const client::PlanToServe& p : plans)
    fmt::print("for plan {} of {}, {}\n", p.spec.plan_id, p.spec.network, ckks::describe(p.spec.parameters.security));
  return 0;
}

struct EncryptOptions {
  std::string client, keys, public_key, signing_key, out;
  bool labels = false;
  DataOptions data;
  StepReport report;
};

using Values = std::vector<std::vector<double>>;  // preprocessed, by image

inputs::InputName encrypt_as_owner(EncryptOptions& o, const plan::ClientSpec& spec, const Values& values) {
  const client::Keys keys = client::read_keys(ckks::Parameters::create(spec.parameters), o.keys);
  o.report.add_lap("read_seconds");
  o.report.add("key_id", keys.secret.id());
  ProgressLine line("encryption");
  return client::encrypt_images(spec, keys, values, o.out,
                                [&](std::size_t done, std::size_t total) { line.update(done, total); });
}

inputs::InputName encrypt_for_owner(EncryptOptions& o, const plan::ClientSpec& spec, const Values& values) {
  const inputs::Encryptor encryptor(spec, ckks::Parameters::create(spec.parameters), fs::path(o.public_key));
  o.report.add_lap("read_seconds");
  o.report.add("key_id", encryptor.key_id());
  const auto signer = read_signing_key(o.signing_key);
  ProgressLine line("encryption");
  return encryptor.encrypt(
      values, o.out, [&](std::size_t done, std::size_t total) { line.update(done, total); }, signer.get());
}

int encrypt(EncryptOptions& o) {
  o.report.start();
  if (o.keys.empty() == o.public_key.empty())
    throw Error(ErrorCode::usage, "name the secret key (--keys) or its owner's public key (--public-key)");
  wire::require_kept(o.data.data, std::array{o.out, o.report.path()});
  if (lowering::is_training_plan(o.client, wire::Kind::client) != o.labels)
    throw Error(ErrorCode::usage, o.labels ? o.client + " is not for training: labels are encrypted for that only"
                                           : o.client + " is for training: encrypt the labels, too (--labels)");
  if (o.labels) {
    if (o.keys.empty()) throw Error(ErrorCode::usage, "examples are encrypted with the secret key: name it (--keys)");
    return encrypt_training({o.client, o.keys, o.out, o.data}, o.report);
  }
  const plan::ClientSpec spec = plan::read_client(o.client);
  if (!o.keys.empty()) require_known(o.keys, o.client, spec.plan_id);
  // Files of pictures come from anywhere: what could go wrong with one does so before the key is in memory.
  const auto images = load_images(o.data, spec.io, o.data.count, images::TrueLabels::dropped);
  Values values;
  values.reserve(images.size());
  for (const auto& image : images) values.push_back(images::preprocess(image, spec.io));
  const inputs::InputName name =
      o.public_key.empty() ? encrypt_as_owner(o, spec, values) : encrypt_for_owner(o, spec, values);
  o.report.add_lap("encrypt_seconds");
  if (o.public_key.empty())
    remember_input(o.keys, name.id,
                   {o.data.data, o.data.start, images.size(), images::digest_of(images), o.data.reading.fit(),
                    o.data.reading.layout, to_hex(name.digest)});
  const std::size_t batch = static_cast<std::size_t>(spec.batch), batches = (images.size() + batch - 1) / batch;
  o.report.add("input_id", name.id);
  o.report.add("images", images.size());
  o.report.add("batches", batches);
  o.report.add_bytes("input_bytes", o.out);
  o.report.write();
  if (o.report.streamed()) return 0;
  fmt::print("encrypted {} image{} in {} batch{} of up to {}: {} ({})\n", images.size(), images.size() == 1 ? "" : "s",
             batches, batches == 1 ? "" : "es", batch, o.out, format_bytes(static_cast<double>(fs::file_size(o.out))));
  return 0;
}

struct DecryptVerbOptions {
  std::string client, keys, in, npy, csv, sheet;
  double flood = 0;
  bool strict = false;
  PublishOptions publish;
  OriginOptions origin;
  DataOptions data;
  StepReport report;
};

// The images that the scores belong to: those named on the command line, else those that `encrypt` noted beside the
// keys.
std::vector<images::Image> find_images(const DecryptVerbOptions& o, const plan::ClientSpec& spec,
                                       const client::Decrypted& result) {
  const std::size_t count = result.scores.size();
  if (!o.data.data.empty()) return load_images(o.data, spec.io, count, images::TrueLabels::dropped);
  std::optional<client::InputRecord> record;
  try {
    record = client::read_input_record(key_folder(o.keys), result.file.input_id);
  } catch (const Error&) {  // a bad note, of which a line tells already
  }
  if (!record || record->count != count) return {};
  try {
    auto images = images::load_images(record->sources, spec.io, record->start, record->count,
                                      {.fit = record->fit,
                                       .layout = record->layout,
                                       .labels = images::TrueLabels::dropped,
                                       .check_stop = check_stop});
    if (images::digest_of(images) != record->digest) return {};  // others are there now
    return images;
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    return {};  // the images have moved: scores are shown without them
  }
}

std::string note_of(Doubt doubt) { return doubt == Doubt::none ? "" : "  doubtful: " + text_of(doubt); }

// Labels of the first images, and how many are right.
void print_table(const client::Decrypted& result, const std::vector<images::Image>& images, const plan::Interface& io) {
  constexpr std::size_t kShown = 20;
  std::size_t labelled = 0, right = 0;
  fmt::print("{:>6}  {:<24} {:<16} {:>10}\n", "image", "name", "label", "confidence");
  for (std::size_t i = 0; i < result.scores.size(); ++i) {
    const int label = client::argmax(result.scores[i]);
    if (i < images.size() && images[i].label >= 0) {
      ++labelled;
      right += images[i].label == label;
    }
    if (i < kShown)
      fmt::print("{:>6}  {:<24} {:<16} {:>10}{}\n", i, i < images.size() ? readable_text(images[i].name) : "",
                 label < 0 ? "no result" : client::class_name(io, label),
                 label < 0 ? "" : fmt::format("{:.1f}%", 100 * client::confidence(result.scores[i], label)),
                 note_of(result.doubts[i]));
  }
  if (result.scores.size() > kShown)
    fmt::print("   ...  {} more; --csv and --out write them all\n", result.scores.size() - kShown);
  if (labelled > 0)
    fmt::print("{} of {} labels are right ({:.2f} %)\n", right, labelled,
               100.0 * static_cast<double>(right) / static_cast<double>(labelled));
}

int decrypt(DecryptVerbOptions& o) {
  o.report.start();
  if (lowering::is_training_plan(o.client, wire::Kind::client)) {
    if (!o.sheet.empty() || o.flood > 0 || !o.publish.what.empty() || !o.data.data.empty())
      throw Error(ErrorCode::usage, "a training gives a network and its losses: --out, --csv and --json");
    require_onnx_name(o.npy);
    return decrypt_training({o.client, o.keys, o.in, o.npy, o.csv, o.origin}, o.report);
  }
  if (!o.publish.what.empty()) {
    if (!o.sheet.empty() || !o.data.data.empty())
      throw Error(ErrorCode::usage, "--publish shows no images: leave out --sheet and --data");
    return publish({o.client, o.keys, o.in, o.npy, o.csv, o.strict, o.origin}, o.publish, key_folder(o.keys), o.report);
  }
  client::require_sheet_name(o.sheet);
  if (!(o.flood >= 0)) throw Error(ErrorCode::usage, "--flood takes a number that is not negative");
  const bool streamed = wire::require_outputs(std::array{o.npy, o.sheet}, std::array{o.csv, o.report.path()});
  wire::require_kept(o.data.data, std::array{o.npy, o.sheet, o.csv, o.report.path()});
  const plan::ClientSpec spec = plan::read_client(o.client);
  require_known(o.keys, o.client, spec.plan_id);
  const client::Keys keys = client::read_keys(ckks::Parameters::create(spec.parameters), o.keys);
  const client::Origin origin = expected_origin(o.origin, o.in, o.keys, keys.secret.id());
  ProgressLine line("decryption");
  const client::Decrypted result =
      client::decrypt_scores(spec, keys, o.in, {.flood = o.flood, .origin = origin},
                             [&](std::size_t done, std::size_t total) { line.update(done, total); });
  o.report.add_lap("decrypt_seconds");
  const auto images = find_images(o, spec, result);
  if (!o.sheet.empty() && images.empty())
    throw Error(ErrorCode::usage, "--sheet needs the images: name them with --data (and --start) as for encrypt");
  if (!o.npy.empty()) client::write_npy(o.npy, result.scores);
  if (!o.csv.empty()) client::write_csv(o.csv, result.scores, result.doubts, images, spec.io);
  if (!o.sheet.empty())
    client::write_sheet(o.sheet, images, result.scores, result.doubts, spec.io, spec.network + ", decrypted labels");
  note_origin(o.keys, keys.secret.id(), result.file, o.report);
  o.report.add_lap("write_seconds");
  o.report.add("images", result.scores.size());
  o.report.add("doubtful", client::doubtful(result.doubts));
  o.report.add_bytes("output_bytes", o.in);
  o.report.write();
  if (!streamed) print_table(result, images, spec.io);
  const std::string doubts = client::summary_of(result.doubts, result.batch);
  if (doubts.empty()) return 0;
  print_error("sotto: " + doubts + "\n");
  return o.strict ? kDoubtful : 0;
}

}  // namespace

void add_keygen(CLI::App& app) {
  auto* verb = app.add_subcommand("keygen", "Make a secret key and the evaluation keys for the server");
  auto o = std::make_shared<KeygenOptions>();
  verb->add_option("CLIENT", o->clients, "NAME.client; of several plans, keys that they have in common are made once")
      ->required();
  verb->add_option("--out", o->out,
                   "Folder for secret.key and eval.key; a secret key that is there serves these plans, too")
      ->required();
  verb->add_option("--eval-key", o->evaluation_keys,
                   "Where the evaluation keys go instead, e.g. beside those of another plan");
  verb->add_option("--public-key", o->public_key,
                   "Also write a public key here, with which others encrypt images for you; keys that are there stay");
  o->report.add_option(*verb);
  verb->add_flag("--force", o->force, "Replace keys that are there, the secret one, too");
  verb->add_option("--max-size", o->most, "Refuse to make more evaluation keys than this")->capture_default_str();
  verb->callback([o] { throw CLI::RuntimeError(keygen(*o)); });
}

void add_encrypt(CLI::App& app) {
  auto* verb = app.add_subcommand("encrypt", "Encrypt images");
  auto o = std::make_shared<EncryptOptions>();
  verb->add_option("CLIENT", o->client, "NAME.client")->required();
  auto* keys = verb->add_option("--keys", o->keys, "Folder with secret.key");
  verb->add_option("--public-key", o->public_key, "Instead: encrypt for the owner of this public key")->excludes(keys);
  verb->add_option("--signing-key", o->signing_key,
                   "Sign what is encrypted with --public-key with this key (sotto signing-key makes one)")
      ->excludes(keys);
  verb->add_flag("--labels", o->labels, "With the classes of the images, for a plan that trains");
  add_data_options(*verb, o->data, true);
  verb->add_option("--out", o->out, "Where the encrypted images go")->required();
  o->report.add_option(*verb);
  verb->callback([o] { throw CLI::RuntimeError(encrypt(*o)); });
}

void add_decrypt(CLI::App& app) {
  auto* verb = app.add_subcommand("decrypt", "Decrypt scores and show the labels");
  auto o = std::make_shared<DecryptVerbOptions>();
  verb->add_option("CLIENT", o->client, "NAME.client")->required();
  verb->add_option("--keys", o->keys, "Folder with secret.key")->required();
  verb->add_option("--in", o->in, "Encrypted scores")->required();
  verb->add_option("--out", o->npy, "Write the scores here (NumPy); of a training the network (ONNX)");
  verb->add_option("--csv", o->csv,
                   "Write the labels here, or the losses of a training (CSV; - for the standard output)");
  verb->add_option("--sheet", o->sheet, "Write a contact sheet here (.png or .html)");
  auto* flood =
      verb->add_option("--flood", o->flood,
                       "Noise flooding: standard deviation added to every score before it is written (SECURITY.md)")
          ->check(CLI::Range(0.0, 1e6));
  add_publish_options(*verb, o->publish);
  verb->get_option("--publish")->excludes(flood);
  o->origin.add_options(*verb);
  verb->add_flag("--strict", o->strict, "Exit with code 6 if results are doubtful, after writing everything");
  add_data_options(*verb, o->data, false);
  o->report.add_option(*verb);
  verb->callback([o] { throw CLI::RuntimeError(decrypt(*o)); });
}

}  // namespace sotto::cli
