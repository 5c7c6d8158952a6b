#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>
#include <memory>

#include "base/error.h"
#include "cli/console.h"
#include "cli/data_options.h"
#include "cli/evaluate_part.h"
#include "cli/evaluate_report.h"
#include "cli/planning.h"
#include "cli/verbs.h"
#include "client/sheet.h"
#include "compiler/lower.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "images/image_source.h"
#include "wire/atomic_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

using nlohmann::json;

namespace {

constexpr std::size_t kMostAtOnce = 65536;  // images of one run

struct EvaluateOptions {
  PlanRequest request;
  std::string report_json, report_html, sheet, npy, csv;
  DataOptions data;
  int threads = 0;
};

// Of a network with one score: its mean, the side of which stands for a label.
double middle_of_one_score(const client::Scores& plain) {
  double sum = 0;
  for (const auto& s : plain)
    if (s.size() == 1) sum += s[0];
  return sum / static_cast<double>(std::max<std::size_t>(plain.size(), 1));
}

// Encrypted scores against those of the float model.
struct Comparison {
  std::size_t labelled = 0, correct = 0, plain_correct = 0, agree = 0;
  std::size_t certain = 0, certain_agree = 0;  // images that are not doubtful
  double max_error = 0, sum_squares = 0;
  std::size_t values = 0;
  std::vector<int> labels;

  Comparison(const std::vector<images::Image>& images, const client::Scores& scores, const client::Scores& plain,
             const std::vector<Doubt>& doubts) {
    const double middle = middle_of_one_score(plain);
    for (std::size_t i = 0; i < images.size(); ++i) {
      const int label = client::argmax(scores[i]), plain_label = client::argmax(plain[i]);
      const bool same = label == plain_label &&
                        (plain[i].size() > 1 || label < 0 || (scores[i][0] < middle) == (plain[i][0] < middle));
      labels.push_back(label);
      agree += same;
      certain += doubts[i] == Doubt::none;
      certain_agree += doubts[i] == Doubt::none && same;
      if (images[i].label >= 0) {
        ++labelled;
        correct += label == images[i].label;
        plain_correct += plain_label == images[i].label;
      }
      if (label < 0) continue;  // no scores
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

// Layers by name: what they took in several packings adds up. A packing may bootstrap where another does not; sizes are
// those of the first packing that has the layer.
json layer_report(const std::vector<engine::Part>& parts, const std::vector<PartResult>& results,
                  const plan::Speed& speed) {
  constexpr std::array kSeconds = {"rotate_seconds", "linear_seconds", "activate_seconds", "disk_seconds"};
  json steps = json::array();
  std::map<std::string, std::size_t> index;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const plan::Plan& plan = parts[k].plan;
    const PartResult& r = results[k];
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      const plan::Step& step = plan.steps[s];
      const plan::Layout& l = plan.tensors[static_cast<std::size_t>(step.output)].layout;
      const auto [at, first] = index.emplace(step.name, steps.size());
      if (first) {
        steps.push_back({{"name", step.name},
                         {"output", {l.channels, l.height, l.width}},
                         {"ciphertexts", l.ciphertexts()},
                         {"limbs", step.limbs},
                         {"seconds", 0.0},
                         {"predicted_seconds", 0.0},
                         {"predicted_peak_bytes", 0}});
        for (const char* name : kSeconds) steps.back()[name] = 0.0;
      }
      json& entry = steps[at->second];
      const auto add = [&](const char* name, double seconds) { entry[name] = entry[name].get<double>() + seconds; };
      for (const char* name : kSeconds) {
        const double seconds = r.stats.at("steps").at(s).at(name).get<double>();
        add(name, seconds);
        add("seconds", seconds);
      }
      add("predicted_seconds", r.cost.steps[s].seconds(speed) * r.stats.at("batches").get<double>());
      entry["predicted_peak_bytes"] =
          std::max(entry["predicted_peak_bytes"].get<std::uint64_t>(), r.cost.steps[s].peak_bytes);
    }
  }
  return steps;
}

json part_report(const engine::Part& part, const PartResult& r, const plan::Speed& speed) {
  const auto batches = r.stats["batches"].get<std::uint64_t>();
  return {{"images", part.images},
          {"batch", part.plan.batch},
          {"batches", batches},
          {"tile", part.plan.tile},
          {"group", part.plan.group()},
          {"bootstraps", static_cast<std::uint64_t>(plan::bootstraps(part.plan)) * batches},
          {"wall_seconds", r.wall_seconds},
          {"predicted_seconds", r.cost.seconds(speed) * static_cast<double>(batches)},
          {"peak_rss_bytes", r.stats["peak_rss_bytes"]},
          {"predicted_peak_bytes", r.stats["predicted_peak_bytes"]},
          {"eval_key_bytes", r.key_bytes}};
}

// Over all images of all parts.
double predicted_agreement(const std::vector<engine::Part>& parts) {
  double sum = 0, images = 0;
  for (const engine::Part& p : parts) {
    sum += p.plan.prediction.label_agreement * static_cast<double>(p.images);
    images += static_cast<double>(p.images);
  }
  return sum / images;
}

double predicted_error(const std::vector<engine::Part>& parts) {
  double squares = 0, images = 0;
  for (const engine::Part& p : parts) {
    squares += std::pow(p.plan.prediction.score_error, 2) * static_cast<double>(p.images);
    images += static_cast<double>(p.images);
  }
  return std::sqrt(squares / images);
}

// The fields of the parts together: sums, or the most of them.
json sums_of(const json& parts) {
  json all = {{"wall_seconds", 0.0},      {"predicted_seconds", 0.0}, {"batches", 0},
              {"bootstraps", 0},          {"eval_key_bytes", 0},      {"peak_rss_bytes", 0},
              {"predicted_peak_bytes", 0}};
  for (const json& p : parts) {
    for (const char* name : {"wall_seconds", "predicted_seconds"})
      all[name] = all[name].get<double>() + p[name].get<double>();
    for (const char* name : {"batches", "bootstraps", "eval_key_bytes"})
      all[name] = all[name].get<std::uint64_t>() + p[name].get<std::uint64_t>();
    for (const char* name : {"peak_rss_bytes", "predicted_peak_bytes"})
      all[name] = std::max(all[name].get<std::uint64_t>(), p[name].get<std::uint64_t>());
  }
  return all;
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
  line("labels predicted to agree",
       percent(r["predicted_label_agreement"]) + (r["calibration_made_up"].get<bool>() ? ", by made-up images" : ""));
  if (const std::size_t doubts = r["doubtful"].size(); doubts > 0) {
    line("doubtful results", fmt::format("{} (--csv says why)", doubts));
    line("labels that agree, of others", percent(r["certain_label_agreement"]));
  }
  line("score error, largest / rms",
       fmt::format("{:.2e} / {:.2e}", r["max_abs_logit_error"].get<double>(), r["rms_logit_error"].get<double>()));
  line("score error predicted, rms", fmt::format("{:.2e}", r["predicted_rms_logit_error"].get<double>()));
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

// Without --batch, or with one for all images, the cheapest way for exactly these; else runs of the packing asked for.
std::vector<engine::Part> choose_parts(PlanRequest request, std::size_t images) {
  const auto all = static_cast<int>(std::min(images, kMostAtOnce));
  const bool exact = images <= kMostAtOnce && (request.images == 0 || request.images == all);
  if (request.images == 0) request.images = all;
  if (exact) return make_parts(request);
  return {{make_plan(request), images}};
}

int run(const EvaluateOptions& o) {
  const auto started = std::chrono::steady_clock::now();
  const int threads = set_threads(o.threads);
  // Before hours of work, not after.
  client::require_sheet_name(o.sheet);
  const bool streamed =
      wire::require_outputs(std::array{o.sheet, o.npy}, std::array{o.report_json, o.report_html, o.csv});
  for (const auto& inputs : {std::vector{o.request.model}, o.data.data, o.request.calibrate})
    wire::require_kept(inputs, std::array{o.sheet, o.npy, o.report_json, o.report_html, o.csv});
  PlanRequest request = o.request;
  request.reading = o.data.reading;
  const graph::Network network = graph::import_onnx(request.model);
  const plan::Interface io = compiler::interface_of(network);
  const auto images = load_images(o.data, io, o.data.count, images::TrueLabels::needed);
  const std::vector<engine::Part> parts = choose_parts(request, images.size());
  std::vector<std::vector<double>> values;
  values.reserve(images.size());
  for (const auto& image : images) values.push_back(images::preprocess(image, io));

  client::Scores plain;
  {
    ProgressLine line("float model");
    plain = graph::evaluate_all(network, values, [&](std::size_t done) { line.update(done, images.size()); });
  }

  std::vector<PartResult> results;
  client::Scores scores;
  std::vector<Doubt> doubts;
  for (const engine::Part& part : parts) {
    results.push_back(
        run_part(part.plan, std::span(values).subspan(scores.size(), part.images), threads, o.request.memory));
    if (results.back().exit_code != 0) return results.back().exit_code;
    scores.insert(scores.end(), results.back().scores.begin(), results.back().scores.end());
    doubts.insert(doubts.end(), results.back().doubts.begin(), results.back().doubts.end());
  }

  const plan::Plan& plan = parts.front().plan;
  const auto parameters = ckks::Parameters::create(plan.parameters);
  const plan::Speed speed = plan::measure_speed(plan.parameters.log_n, plan.parameters.kind, threads);
  const Comparison compared(images, scores, plain, doubts);
  json part_reports = json::array();
  std::uint64_t input_bytes = 0, output_bytes = 0;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    part_reports.push_back(part_report(parts[k], results[k], speed));
    input_bytes += results[k].input_bytes;
    output_bytes += results[k].output_bytes;
  }
  const double total = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  json report = {
      {"network", network.name},
      {"images", images.size()},
      {"correct", compared.correct},
      {"accuracy", compared.fraction(compared.correct)},
      {"plain_correct", compared.plain_correct},
      {"plain_accuracy", compared.fraction(compared.plain_correct)},
      {"label_agreement", static_cast<double>(compared.agree) / static_cast<double>(images.size())},
      {"predicted_label_agreement", predicted_agreement(parts)},
      {"predicted_rms_logit_error", predicted_error(parts)},
      {"calibration_made_up", parts.front().plan.prediction.made_up},
      {"doubtful", client::doubtful(doubts)},
      {"certain_label_agreement", compared.certain == 0 ? json()
                                                        : json(static_cast<double>(compared.certain_agree) /
                                                               static_cast<double>(compared.certain))},
      {"max_abs_logit_error", compared.max_error},
      {"rms_logit_error",
       std::sqrt(compared.sum_squares / static_cast<double>(std::max<std::size_t>(compared.values, 1)))},
      {"total_seconds", total},
      {"input_bytes", input_bytes},
      {"output_bytes", output_bytes},
      {"ring_dimension", std::uint64_t{1} << plan.parameters.log_n},
      {"log2_qp", parameters.log2_qp()},
      {"security_bits", parameters.security_bits()},
      {"batch", plan.batch},
      {"tile", plan.tile},
      {"group", plan.group()},
      {"input_ciphertexts", plan.input().layout.ciphertexts()},
      {"ring", ring::name_of(plan.parameters.kind)},
      {"ciphertext_primes", plan.parameters.ciphertext_primes},
      {"special_primes", plan.parameters.special_primes},
      {"threads", threads},
      {"cpu_kernels", results.front().stats["cpu_kernels"]},
      {"labels", compared.labels},
      {"parts", part_reports},
      {"steps", layer_report(parts, results, speed)},
  };
  report.update(sums_of(part_reports));
  report["amortized_seconds_per_image"] = report["wall_seconds"].get<double>() / static_cast<double>(images.size());
  if (!o.report_json.empty())
    wire::write_file(o.report_json, report.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
  if (!o.report_html.empty()) write_html_report(o.report_html, report, images, scores, plain, doubts, io);
  if (!o.sheet.empty())
    client::write_sheet(o.sheet, images, scores, doubts, io, plan.network + ", labels from encrypted inference");
  if (!o.npy.empty()) client::write_npy(o.npy, scores);
  if (!o.csv.empty()) client::write_csv(o.csv, scores, doubts, images, io);
  if (!streamed) print_summary(report);
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app) {
  auto* verb = app.add_subcommand("evaluate", "Do all of it on this machine and compare with the float model");
  auto o = std::make_shared<EvaluateOptions>();
  verb->add_option("MODEL", o->request.model, "The network, ONNX")->required();
  add_data_options(*verb, o->data, true);
  verb->add_option("--threads", o->threads, "Threads (default: all)")->check(CLI::Range(1, 1024));
  add_plan_options(*verb, o->request);
  verb->add_option("--json", o->report_json, "Write the report here (JSON; - for the standard output)");
  verb->add_option("--report", o->report_html, "Write the report here (HTML)");
  verb->add_option("--sheet", o->sheet, "Write a contact sheet here (.png or .html)");
  verb->add_option("--out", o->npy, "Write the scores here (NumPy)");
  verb->add_option("--csv", o->csv, "Write the labels here (CSV)");
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
