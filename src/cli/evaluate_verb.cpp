#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/console.h"
#include "cli/data_options.h"
#include "cli/evaluate_part.h"
#include "cli/planning.h"
#include "cli/verbs.h"
#include "client/sheet.h"
#include "compiler/lower.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "images/image_source.h"
#include "report/page.h"
#include "report/text.h"
#include "wire/atomic_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

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
void compare(const std::vector<images::Image>& images, const client::Scores& scores, const client::Scores& plain,
             const std::vector<Doubt>& doubts, report::Evaluation& e) {
  const double middle = middle_of_one_score(plain);
  double squares = 0;
  std::size_t values = 0;
  e.images = images.size();
  e.doubtful = client::doubtful(doubts);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const int label = client::argmax(scores[i]), plain_label = client::argmax(plain[i]);
    const bool same =
        label == plain_label && (plain[i].size() > 1 || label < 0 || (scores[i][0] < middle) == (plain[i][0] < middle));
    e.labels.push_back(label);
    e.agree += same;
    e.certain += doubts[i] == Doubt::none;
    e.certain_agree += doubts[i] == Doubt::none && same;
    if (images[i].label >= 0) {
      ++e.labelled;
      e.correct += label == images[i].label;
      e.plain_correct += plain_label == images[i].label;
    }
    if (label < 0) continue;  // no scores
    for (std::size_t c = 0; c < scores[i].size(); ++c) {
      const double error = scores[i][c] - plain[i][c];
      e.largest_error = std::max(e.largest_error, std::abs(error));
      squares += error * error;
      ++values;
    }
  }
  e.rms_error = std::sqrt(squares / static_cast<double>(std::max<std::size_t>(values, 1)));
}

// Layers by name: what they took in several packings adds up. A packing may bootstrap where another does not; sizes are
// those of the first packing that has the layer.
std::vector<report::LayerFigures> layer_figures(const std::vector<engine::Part>& parts,
                                                const std::vector<PartResult>& results, const plan::Speed& speed) {
  std::vector<report::LayerFigures> layers;
  std::map<std::string, std::size_t> index;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const plan::Plan& plan = parts[k].plan;
    const PartResult& r = results[k];
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      const plan::Step& step = plan.steps[s];
      const plan::Layout& l = plan.tensors[static_cast<std::size_t>(step.output)].layout;
      const auto [at, first] = index.emplace(step.name, layers.size());
      if (first) layers.push_back({step.name, l.channels, l.height, l.width, l.ciphertexts(), step.level.count()});
      report::LayerFigures& layer = layers[at->second];
      const auto taken = [&](const char* name) { return r.stats.at("steps").at(s).at(name).get<double>(); };
      layer.rotate_seconds += taken("rotate_seconds");
      layer.linear_seconds += taken("linear_seconds");
      layer.activate_seconds += taken("activate_seconds");
      layer.disk_seconds += taken("disk_seconds");
      layer.predicted_seconds += r.cost.steps[s].seconds(speed) * r.stats.at("batches").get<double>();
      layer.predicted_peak_bytes = std::max(layer.predicted_peak_bytes, r.cost.steps[s].peak_bytes);
    }
  }
  return layers;
}

report::PartFigures part_figures(const engine::Part& part, const PartResult& r, const plan::Speed& speed) {
  const auto batches = r.stats["batches"].get<std::uint64_t>();
  return {.images = part.images,
          .batch = part.plan.batch,
          .tile = part.plan.tile,
          .group = part.plan.group(),
          .batches = batches,
          .bootstraps = static_cast<std::uint64_t>(plan::bootstraps(part.plan)) * batches,
          .wall_seconds = r.wall_seconds,
          .predicted_seconds = r.cost.seconds(speed) * static_cast<double>(batches),
          .peak_rss_bytes = r.stats["peak_rss_bytes"].get<std::uint64_t>(),
          .predicted_peak_bytes = r.stats["predicted_peak_bytes"].get<std::uint64_t>(),
          .eval_key_bytes = r.key_bytes};
}

// Of the part with the largest modulus.
ckks::Parameters largest_parameters(const std::vector<engine::Part>& parts) {
  ckks::Parameters largest = ckks::Parameters::create(parts.front().plan.parameters);
  for (const engine::Part& p : parts)
    if (auto own = ckks::Parameters::create(p.plan.parameters); own.log2_qp() > largest.log2_qp())
      largest = std::move(own);
  return largest;
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

void print_summary(const report::Evaluation& e) {
  const auto line = [](const char* name, const std::string& value) { fmt::print("  {:<28} {}\n", name, value); };
  const auto percent = [](std::optional<double> v) {
    return v ? report::percent(v) : std::string("unknown (no true labels)");
  };
  const report::PartFigures all = e.total();
  fmt::print("\n{} on {} encrypted images\n", e.network, e.images);
  line("accuracy, encrypted", percent(e.accuracy()));
  line("accuracy, float model", percent(e.plain_accuracy()));
  line("labels that agree", percent(e.agreement()));
  line("labels predicted to agree", percent(e.predicted_agreement) + (e.made_up ? ", by made-up images" : ""));
  if (!e.doubtful.empty()) {
    line("doubtful results", fmt::format("{} (--csv says why)", e.doubtful.size()));
    line("labels that agree, of others", report::percent(e.certain_agreement()));
  }
  line("score error, largest / rms", fmt::format("{:.2e} / {:.2e}", e.largest_error, e.rms_error));
  line("score error predicted, rms", fmt::format("{:.2e}", e.predicted_rms_error));
  line("inference", fmt::format("{}, {:.4f} s per image", format_seconds(all.wall_seconds), e.seconds_per_image()));
  line("peak memory of inference", report::bytes(all.peak_rss_bytes));
  line("keys / input / output", report::bytes(all.eval_key_bytes) + " / " + report::bytes(e.input_bytes) + " / " +
                                    report::bytes(e.output_bytes));
  line("security", fmt::format("{}, log2(QP) {:.0f}, ring rank {}", e.security, e.log2_qp, e.ring_dimension));
  line("threads, kernels", fmt::format("{}, {}", e.threads, e.cpu_kernels));
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
  const auto images = load_images(o.data, io, o.data.count, images::TrueLabels::checked);
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
  const ckks::Parameters parameters = largest_parameters(parts);
  const plan::Speed speed = plan::measure_speed(plan.parameters.log_n, plan.parameters.kind, threads);
  report::Evaluation e;
  e.network = network.name;
  compare(images, scores, plain, doubts, e);
  e.predicted_agreement = predicted_agreement(parts);
  e.made_up = plan.prediction.made_up;
  e.predicted_rms_error = predicted_error(parts);
  for (std::size_t k = 0; k < parts.size(); ++k) {
    e.parts.push_back(part_figures(parts[k], results[k], speed));
    e.input_bytes += results[k].input_bytes;
    e.output_bytes += results[k].output_bytes;
  }
  e.layers = layer_figures(parts, results, speed);
  e.ring = ring::name_of(parameters.spec().kind);
  e.ring_dimension = std::uint64_t{1} << parameters.spec().log_n;
  e.log2_qp = parameters.log2_qp();
  e.security_bits = parameters.security_bits();
  e.security = ckks::describe(parameters.spec().security);
  e.ciphertext_primes = parameters.spec().ciphertext_primes;
  e.special_primes = parameters.spec().special_primes;
  e.batch = plan.batch;
  e.tile = plan.tile;
  e.group = plan.group();
  e.input_ciphertexts = plan.input().layout.ciphertexts();
  e.threads = threads;
  e.cpu_kernels = results.front().stats["cpu_kernels"].get<std::string>();
  e.total_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (!o.report_json.empty())
    wire::write_file(o.report_json,
                     report::to_json(e).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  if (!o.report_html.empty()) report::write_page(o.report_html, e, images, scores, plain, doubts, io);
  if (!o.sheet.empty())
    client::write_sheet(o.sheet, images, scores, doubts, io, plan.network + ", labels from encrypted inference");
  if (!o.npy.empty()) client::write_npy(o.npy, scores);
  if (!o.csv.empty()) client::write_csv(o.csv, scores, doubts, images, io);
  if (!streamed) print_summary(e);
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
