#include "cli/planning.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/console.h"
#include "cli/planning_lines.h"
#include "compiler/scales.h"
#include "engine/planner.h"
#include "graph/calibrate.h"
#include "graph/onnx_import.h"
#include "images/image_source.h"

namespace sotto::cli {

namespace {

constexpr int kDefaultImages = 1024;

// What the user should know of --precise beside the numbers of a plan.
void note_on_precise(const plan::Plan& plan, const PlanRequest& request) {
  if (!request.precise) return;
  if (!plan.bootstrapping)
    print_note("--precise changes nothing: no value of " + request.model + " is bootstrapped");
  else if (plan.group() > 1 && !plan::has(plan, plan::Kind::square) && plan::has(plan, plan::Kind::multiply))
    print_note("--precise changes nothing: with several channels per ciphertext products have an extra prime anyway");
  else if (!plan::has(plan, plan::Kind::square) && !plan::has(plan, plan::Kind::multiply))
    print_note("--precise changes nothing: " + request.model +
               " has no squares or products, only activations of other kinds");
}

}  // namespace

compiler::Calibration calibration_for(const std::vector<std::string>& sources, const ReadingOptions& reading,
                                      const plan::Interface& io) {
  if (sources.empty()) return compiler::made_up_calibration(io);
  images::LoadOptions options{.fit = reading.fit(), .note = print_note, .check_stop = check_stop};
  if (images::is_array(sources.front())) options.layout = reading.layout;
  const auto images = images::load_images(sources, io, 0, std::nullopt, options);
  // At equal distances: a data set may be sorted by class.
  const std::size_t stride = (images.size() + compiler::kMostCalibration - 1) / compiler::kMostCalibration;
  std::vector<std::vector<double>> values;
  for (std::size_t k = 0; k < images.size(); k += stride) values.push_back(images::preprocess(images[k], io));
  return compiler::calibration_from(std::move(values));
}

namespace {

// Calls make(planner) for the model of a request. Errors of the compiler name the model, as those of the import do.
template <class Make>
auto with_planner(const PlanRequest& request, const Make& make) {
  const AtOnce nothing_is_written;
  graph::Network network = graph::import_onnx(request.model);
  for (const std::string& note : network.notes) print_note(request.model + ": " + note);
  const plan::Interface io = compiler::interface_of(network);
  compiler::Calibration calibration = calibration_for(request.calibrate, request.reading, io);
  PlanningLines lines;
  const compiler::PlanningHooks hooks = lines.hooks();
  const engine::PlannerOptions options{request.agreement / 100,
                                       request.memory.empty() ? 0 : parse_bytes(request.memory),
                                       ckks::level_named(request.security).value(), request.precise};
  try {
    const engine::Planner planner(
        engine::measure(std::move(network), std::move(calibration), options.agreement, request.relu_error, hooks),
        options, hooks);
    return make(planner);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    throw Error(e.code(), request.model + ": " + e.what(), e.setting());
  }
}

int images_of(const PlanRequest& request) { return request.images == 0 ? kDefaultImages : request.images; }

}  // namespace

void add_plan_options(CLI::App& verb, PlanRequest& request) {
  verb.add_option(
          "--batch", request.images,
          "Images that a run will have: the packing is the fastest for so many (default 1024; evaluate: its images)")
      ->check(CLI::Range(1, 65536));
  verb.add_option("--agreement", request.agreement,
                  "Percent of the labels that must be predicted to agree with the float network (default 99.5)")
      ->check(CLI::Range(0.0, 99.99));
  verb.add_option("--memory", request.memory, "Most memory that inference may use, e.g. 8G");
  verb.add_option("--security", request.security,
                  "Bits of security: 128 or 192 against classical attacks, quantum128 also against quantum computers; "
                  "only at 128 can deep networks be bootstrapped")
      ->capture_default_str()
      ->check(CLI::IsMember({"128", "192", "quantum128"}));
  verb.add_option("--calibrate", request.calibrate,
                  "Images like those to come, to measure ranges, errors and labels on: any SRC of --data, "
                  "e.g. cifar10-train:DIR, a folder or an array (512 at most are used)")
      ->expected(1, -1);
  verb.add_flag(
      "--precise", request.precise,
      "With bootstrapping: twice the modulus for every square and product, closer to the float model but slower");
  verb.add_option(
          "--relu-error", request.relu_error,
          "Largest error of a Relu's polynomial, over the range of its input (default: as small as the agreement "
          "asks for, 0.0051 at most)")
      ->check(CLI::Range(1e-6, 0.25))
      ->check([](const std::string& v) { return std::isnan(std::stod(v)) ? "not a number" : std::string(); });
}

plan::Plan make_plan(const PlanRequest& request) {
  plan::Plan plan = with_planner(request, [&](const engine::Planner& p) { return p.plan(images_of(request)); });
  note_on_precise(plan, request);
  return plan;
}

std::vector<engine::Part> make_parts(const PlanRequest& request) {
  auto parts = with_planner(request, [&](const engine::Planner& p) { return p.parts(images_of(request)); });
  for (const engine::Part& part : parts) note_on_precise(part.plan, request);
  return parts;
}

std::string describe(const plan::Prediction& p) {
  const std::string part = p.score_error < p.spread
                               ? fmt::format("{:.2g} % of their spread", 100 * p.score_error / p.spread)
                               : "they hardly differ between images";
  return fmt::format(
      "predicted: {:.2f} % of the labels agree with the float network, scores err by {:.2g} ({}); measured on {} "
      "{}images{}",
      100 * p.label_agreement, p.score_error, part, p.images, p.made_up ? "made-up " : "",
      p.made_up ? "; --calibrate SRC measures on real ones" : "");
}

nlohmann::json describe_security(const ckks::Parameters& p) {
  return {{"ring_dimension", std::uint64_t{1} << p.spec().log_n},
          {"ring", ring::name_of(p.spec().kind)},
          {"ciphertext_primes", p.spec().ciphertext_primes},
          {"special_primes", p.spec().special_primes},
          {"log2_qp", p.log2_qp()},
          {"security", ckks::name_of(p.spec().security)},
          {"security_bits", p.security_bits()}};
}

nlohmann::json describe_signer(const std::optional<signing::VerificationKey>& signer) {
  return signer ? nlohmann::json(signing::to_text(*signer)) : nlohmann::json();
}

void require_memory(const plan::Cost& cost, std::uint64_t limit) {
  if (limit == 0 || cost.least_bytes <= limit) return;
  throw Error(
      ErrorCode::no_resources,
      fmt::format("this plan needs about {} at least, --memory allows {}; compile with a smaller --batch or raise it",
                  format_bytes(static_cast<double>(cost.least_bytes)), format_bytes(static_cast<double>(limit))));
}

}  // namespace sotto::cli
