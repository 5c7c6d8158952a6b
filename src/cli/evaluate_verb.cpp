#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "cli/console.h"
#include "cli/evaluate_report.h"
#include "cli/planning.h"
#include "cli/process.h"
#include "cli/verbs.h"
#include "client/batch.h"
#include "client/image_source.h"
#include "client/sheet.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "plan/plan_file.h"
#include "wire/writer.h"

namespace sotto::cli {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct EvaluateOptions {
  std::string model, memory, report_json, report_html, sheet, npy, csv;
  std::vector<std::string> data;
  std::size_t start = 0;
  std::optional<std::size_t> count;
  int batch = 0, threads = 0;
};

// A private folder for keys and ciphertexts, removed at the end whatever happens.
class WorkFolder {
 public:
  WorkFolder() {
    const char* base = std::getenv("TMPDIR");
    std::string name = (fs::path(base != nullptr && *base != '\0' ? base : "/tmp") / "sotto-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(ErrorCode::no_resources, "cannot make a temporary folder " + name + "; set TMPDIR");
    path_ = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// Encrypted scores against those of the float model.
struct Comparison {
  std::size_t labelled = 0, correct = 0, plain_correct = 0, agree = 0;
  double max_error = 0, sum_squares = 0;
  std::size_t values = 0;
  std::vector<int> labels;

  Comparison(const std::vector<client::Image>& images, const client::Scores& scores, const client::Scores& plain) {
    for (std::size_t i = 0; i < images.size(); ++i) {
      const int label = client::argmax(scores[i]), plain_label = client::argmax(plain[i]);
      labels.push_back(label);
      agree += label == plain_label;
      if (images[i].label >= 0) {
        ++labelled;
        correct += label == images[i].label;
        plain_correct += plain_label == images[i].label;
      }
      for (std::size_t c = 0; c < scores[i].size(); ++c) {
        const double e = scores[i][c] - plain[i][c];
        max_error = std::max(max_error, std::abs(e));
        sum_squares += e * e;
        ++values;
      }
    }
  }

  [[nodiscard]] json fraction(std::size_t n) const {
    return labelled == 0 ? json() : json(static_cast<double>(n) / static_cast<double>(labelled));
  }
};

json layer_report(const plan::Plan& plan, const plan::Cost& cost, const plan::Speed& speed, const json& stats,
                  std::uint64_t batches) {
  json steps = json::array();
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const json& measured = stats["steps"][s];
    const double rotate = measured["rotate_seconds"], linear = measured["linear_seconds"],
                 activate = measured["activate_seconds"], disk = measured["disk_seconds"];
    const plan::Layout& l = plan.tensors[static_cast<std::size_t>(plan.steps[s].output)].layout;
    steps.push_back({{"name", plan.steps[s].name},
                     {"output", {l.channels, l.height, l.width}},
                     {"limbs", plan.steps[s].limbs},
                     {"seconds", rotate + linear + activate + disk},
                     {"rotate_seconds", rotate},
                     {"linear_seconds", linear},
                     {"activate_seconds", activate},
                     {"disk_seconds", disk},
                     {"predicted_seconds", cost.steps[s].seconds(speed) * static_cast<double>(batches)},
                     {"predicted_peak_bytes", cost.steps[s].peak_bytes}});
  }
  return steps;
}

void print_summary(const json& r) {
  const auto line = [](const char* name, const std::string& value) { fmt::print("  {:<28} {}\n", name, value); };
  const auto percent = [](const json& v) {
    return v.is_null() ? std::string("unknown (no true labels)") : fmt::format("{:.2f} %", 100 * v.get<double>());
  };
  fmt::print("\n{} on {} encrypted images\n", r["network"].get<std::string>(), r["images"].get<std::size_t>());
  line("accuracy, encrypted", percent(r["accuracy"]));
  line("accuracy, float model", percent(r["plain_accuracy"]));
  line("labels that agree", percent(r["label_agreement"]));
  line("score error, largest / rms",
       fmt::format("{:.2e} / {:.2e}", r["max_abs_logit_error"].get<double>(), r["rms_logit_error"].get<double>()));
  line("inference", fmt::format("{}, {:.4f} s per image", format_seconds(r["wall_seconds"].get<double>()),
                                r["amortized_seconds_per_image"].get<double>()));
  line("peak memory of inference", format_bytes(r["peak_rss_bytes"].get<double>()));
  line("keys / input / output", format_bytes(r["eval_key_bytes"].get<double>()) + " / " +
                                    format_bytes(r["input_bytes"].get<double>()) + " / " +
                                    format_bytes(r["output_bytes"].get<double>()));
  line("security", fmt::format("{} bits, log2(QP) {:.0f}, ring rank {}", r["security_bits"].get<int>(),
                               r["log2_qp"].get<double>(), r["ring_dimension"].get<std::uint64_t>()));
  line("threads, kernels", fmt::format("{}, {}", r["threads"].get<int>(), r["cpu_kernels"].get<std::string>()));
}

int run(const EvaluateOptions& o) {
  const auto started = std::chrono::steady_clock::now();
  const int threads = set_threads(o.threads);
  // Before hours of work, not after.
  client::require_sheet_name(o.sheet);
  wire::require_outputs(std::array{o.report_json, o.report_html, o.sheet, o.npy, o.csv});
  const graph::Network network = graph::import_onnx(o.model);
  const auto images_at_once =
      o.batch > 0 ? o.batch : static_cast<int>(std::min<std::size_t>(o.count.value_or(0), 65536));
  const plan::Plan plan = make_plan(o.model, images_at_once, o.memory);
  const auto parameters = ckks::Parameters::create(plan.parameters);
  const auto images = client::load_images(o.data, plan.io, o.start, o.count);
  std::vector<std::vector<double>> values;
  values.reserve(images.size());
  for (const auto& image : images) values.push_back(client::preprocess(image, plan.io));

  client::Scores plain;
  {
    ProgressLine line("float model");
    plain = graph::evaluate_all(network, values, [&](std::size_t done) { line.update(done, images.size()); });
  }

  const WorkFolder work;
  plan::write_plan(work / "net.plan", plan);
  plan::write_client(work / "net.client", plan::client_part(plan));
  const plan::ClientSpec spec = plan::read_client(work / "net.client");
  {
    ProgressLine line("keys");
    client::make_keys(spec, parameters, work / "keys", false,
                      [&](std::size_t done, std::size_t total) { line.update(done, total); });
  }
  {
    const client::Keys keys = client::read_keys(spec, parameters, work / "keys");
    ProgressLine line("encryption");
    client::encrypt_images(spec, keys, values, work / "in.sotto",
                           [&](std::size_t done, std::size_t total) { line.update(done, total); });
  }

  // The inference process gets the plan, the evaluation keys and the ciphertexts, as a server would.
  std::vector<std::string> command = {(program_folder() / "sotto-server").string(),
                                      "infer",
                                      work / "net.plan",
                                      "--eval-key",
                                      work / "keys/eval.key",
                                      "--in",
                                      work / "in.sotto",
                                      "--out",
                                      work / "out.sotto",
                                      "--stats",
                                      work / "stats.json",
                                      "--threads",
                                      std::to_string(threads)};
  if (!o.memory.empty()) command.insert(command.end(), {"--memory", o.memory});
  const ProcessResult inference = run_process(command);
  if (inference.exit_code == static_cast<int>(ErrorCode::interrupted)) return inference.exit_code;  // it has said so
  if (inference.exit_code > 128) check_stop();
  if (inference.exit_code != 0) {
    if (inference.exit_code > 128)
      throw Error(ErrorCode::no_resources, "the inference process was killed (signal " +
                                               std::to_string(inference.exit_code - 128) +
                                               "); most likely the memory did not suffice");
    return inference.exit_code;  // it has said why
  }

  client::Decrypted result;
  {
    const client::Keys keys = client::read_keys(spec, parameters, work / "keys");
    ProgressLine line("decryption");
    result = client::decrypt_scores(spec, keys, work / "out.sotto", {},
                                    [&](std::size_t done, std::size_t total) { line.update(done, total); });
  }

  const Comparison compared(images, result.scores, plain);
  std::ifstream stats_file(work / "stats.json");
  const json stats = json::parse(stats_file);
  const plan::Cost cost = plan::estimate(plan, threads, o.memory.empty() ? 0 : parse_bytes(o.memory));
  const plan::Speed speed = plan::measure_speed(plan.parameters.log_n, plan.parameters.kind, threads);
  const auto batches = stats["batches"].get<std::uint64_t>();
  const double total = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const json report = {
      {"network", network.name},
      {"images", images.size()},
      {"correct", compared.correct},
      {"accuracy", compared.fraction(compared.correct)},
      {"plain_correct", compared.plain_correct},
      {"plain_accuracy", compared.fraction(compared.plain_correct)},
      {"label_agreement", static_cast<double>(compared.agree) / static_cast<double>(images.size())},
      {"max_abs_logit_error", compared.max_error},
      {"rms_logit_error", std::sqrt(compared.sum_squares / static_cast<double>(compared.values))},
      {"amortized_seconds_per_image", inference.wall_seconds / static_cast<double>(images.size())},
      {"wall_seconds", inference.wall_seconds},
      {"total_seconds", total},
      {"peak_rss_bytes", stats["peak_rss_bytes"]},
      {"predicted_seconds", cost.seconds(speed) * static_cast<double>(batches)},
      {"predicted_peak_bytes", cost.peak_bytes},
      {"eval_key_bytes", fs::file_size(work / "keys/eval.key")},
      {"input_bytes", fs::file_size(work / "in.sotto")},
      {"output_bytes", fs::file_size(work / "out.sotto")},
      {"ring_dimension", std::uint64_t{1} << plan.parameters.log_n},
      {"log2_qp", parameters.log2_qp()},
      {"security_bits", parameters.security_bits()},
      {"bootstraps", 0},
      {"batch", plan.batch},
      {"batches", batches},
      {"tile", plan.tile},
      {"group", plan.group()},
      {"threads", threads},
      {"cpu_kernels", stats["cpu_kernels"]},
      {"labels", compared.labels},
      {"steps", layer_report(plan, cost, speed, stats, batches)},
  };
  if (!o.report_json.empty())
    wire::write_file(o.report_json, report.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
  if (!o.report_html.empty()) write_html_report(o.report_html, report, images, result.scores, plan.io);
  if (!o.sheet.empty())
    client::write_sheet(o.sheet, images, result.scores, plan.io, plan.network + ", labels from encrypted inference");
  if (!o.npy.empty()) client::write_npy(o.npy, result.scores);
  if (!o.csv.empty()) client::write_csv(o.csv, result.scores, images, plan.io);
  print_summary(report);
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app) {
  auto* verb = app.add_subcommand("evaluate", "Do all of it on this machine and compare with the float model");
  auto o = std::make_shared<EvaluateOptions>();
  verb->add_option("MODEL", o->model, "The network, ONNX")->required();
  verb->add_option("--data", o->data, "cifar10:DIR, cifar100:DIR, or PNG and JPEG files or folders of them")
      ->required()
      ->expected(1, -1);
  verb->add_option("--start", o->start, "Number of the first image (default 0)")->check(CLI::Range(0.0, 2e19));
  verb->add_option("--count", o->count, "How many images (default: all)")->check(CLI::Range(0.0, 2e19));
  verb->add_option("--batch", o->batch, "Choose the packing for so many images at a time (default: --count, or 1024)")
      ->check(CLI::Range(1, 65536));
  verb->add_option("--threads", o->threads, "Threads (default: all)")->check(CLI::Range(1, 1024));
  verb->add_option("--memory", o->memory, "Most memory that inference may use, e.g. 8G");
  verb->add_option("--json", o->report_json, "Write the report here (JSON)");
  verb->add_option("--report", o->report_html, "Write the report here (HTML)");
  verb->add_option("--sheet", o->sheet, "Write a contact sheet here (.png or .html)");
  verb->add_option("--out", o->npy, "Write the scores here (NumPy)");
  verb->add_option("--csv", o->csv, "Write the labels here (CSV)");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
