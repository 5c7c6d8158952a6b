#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/error.h"
#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "ckks/security.h"
#include "cli/console.h"
#include "cli/planning.h"
#include "cli/training.h"
#include "cli/verbs.h"
#include "engine/trainer.h"
#include "lowering/plan_file.h"
#include "plan/noise.h"
#include "plan/parallelism.h"
#include "plan/plan_file.h"
#include "wire/reader.h"

namespace sotto::cli {

namespace {

using nlohmann::json;

struct PlanOptions {
  PlanRequest request;  // request.model: any file
  int threads = 0;
  bool as_json = false;
  bool level_given = false;  // --security
};

json describe_bootstrap(const plan::Plan& plan) {
  if (!plan.bootstrapping) return {};
  const bootstrap::BootstrapSpec& r = *plan.bootstrapping;
  return {{"input_limbs", r.input_limbs()},
          {"raised_limbs", r.raised_limbs},
          {"output_limbs", r.output_limbs()},
          {"slots_to_coeffs_factors", r.slots_to_coeffs_factors},
          {"coeffs_to_slots_factors", r.coeffs_to_slots_factors},
          {"degree", r.degree},
          {"doublings", r.doublings},
          {"ephemeral_weight", ckks::kEphemeralWeight},
          {"ephemeral_log2_qp", 2 * plan.parameters.prime_bits},
          {"failure_probability", 0},
          {"log2_error_over_peak", std::log2(plan::NoiseModel::bootstrap())}};
}

constexpr int kThreadCounts[] = {1, 2, 8, 32, 96};  // of other machines with this processor

int show_client(const plan::ClientSpec& spec, bool as_json) {
  const auto parameters = ckks::Parameters::create(spec.parameters);
  const std::size_t n = std::size_t{1} << spec.parameters.log_n;
  std::uint64_t key_bytes = 0;
  for (const ckks::KeyShape& k : ckks::shapes_of(spec.keys)) key_bytes += ckks::key_bytes(spec.parameters, k);
  const std::uint64_t input_bytes =
      static_cast<std::uint64_t>(spec.input.layout.ciphertexts()) *
      ckks::ciphertext_bytes(wire::Kind::input, n, spec.parameters.prime_bits, spec.input.level);
  std::uint64_t output_bytes =
      static_cast<std::uint64_t>((spec.io.outputs + spec.input.layout.group - 1) / spec.input.layout.group) *
      ckks::ciphertext_bytes(wire::Kind::output, n, spec.parameters.prime_bits, spec.output_level);
  for (const plan::ProbeView& p : spec.watch.probes)
    output_bytes += ckks::ciphertext_bytes(wire::Kind::output, n, spec.parameters.prime_bits, p.limbs);
  if (as_json) {
    const json j = {{"network", spec.network},
                    {"plan_id", spec.plan_id},
                    {"signer", describe_signer(spec.signer)},
                    {"batch", spec.batch},
                    {"tile", {spec.tile.h, spec.tile.w}},
                    {"group", spec.input.layout.group},
                    {"keys", spec.keys.keys.size()},
                    {"eval_key_bytes", key_bytes},
                    {"input_bytes", input_bytes},
                    {"output_bytes", output_bytes},
                    {"classes", spec.io.classes},
                    {"parameters", describe_security(parameters)}};
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("client description of {} (plan {})\n", spec.network, spec.plan_id);
  fmt::print("  images      {}x{}x{}, {} per batch, {} ciphertexts of {} limbs\n", spec.io.channels, spec.io.height,
             spec.io.width, spec.batch, spec.input.layout.ciphertexts(), spec.input.level.count());
  fmt::print("  ring        rank {}, log2(QP) {:.0f}, {}\n", n, parameters.log2_qp(),
             ckks::describe(parameters.spec().security));
  fmt::print("  keys        {}, {}\n", spec.keys.keys.size(), format_bytes(static_cast<double>(key_bytes)));
  fmt::print("  input       {} per batch\n  output      {} per batch, {} scores per image\n",
             format_bytes(static_cast<double>(input_bytes)), format_bytes(static_cast<double>(output_bytes)),
             spec.io.outputs);
  if (spec.signer) fmt::print("  signed      results, with {}\n", signing::to_text(*spec.signer));
  return 0;
}

int show_plan(const plan::Plan& plan, const PlanOptions& o) {
  const int threads = set_threads(o.threads);
  const auto parameters = ckks::Parameters::create(plan.parameters);
  const plan::Cost cost = plan::estimate(plan, threads, o.request.memory.empty() ? 0 : parse_bytes(o.request.memory));
  const plan::Speed speed = plan::measure_speed(plan.parameters.log_n, plan.parameters.kind, threads);
  const double seconds = plan::seconds_with(plan, cost, speed, threads);
  if (o.as_json) {
    json steps = json::array();
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      const plan::Step& step = plan.steps[s];
      const plan::Tensor& out = plan.tensors[static_cast<std::size_t>(step.output)];
      steps.push_back(
          {{"name", step.name},
           {"output", {out.layout.channels, out.layout.height, out.layout.width}},
           {"ciphertexts", out.layout.ciphertexts()},
           {"limbs", step.level.count()},
           {"log2_scale", std::log2(out.scale)},
           {"largest_value",
            step.kind == plan::Kind::bootstrap ? json(plan.bootstrapping->input_peak / step.scale) : json()},
           {"key_switches", cost.steps[s].key_switches},
           {"predicted_seconds", cost.steps[s].seconds(speed)},
           {"predicted_rotate_seconds", cost.steps[s].rotate.seconds(speed)},
           {"predicted_linear_seconds", cost.steps[s].linear.seconds(speed)},
           {"predicted_activate_seconds", cost.steps[s].activate.seconds(speed)},
           {"predicted_peak_bytes", cost.steps[s].peak_bytes}});
    }
    json by_threads = json::object();
    for (int count : kThreadCounts) by_threads[std::to_string(count)] = plan::seconds_with(plan, cost, speed, count);
    const json j = {{"network", plan.network},
                    {"plan_id", plan.id},
                    {"signer", describe_signer(plan.signer)},
                    {"batch", plan.batch},
                    {"tile", {plan.tile.h, plan.tile.w}},
                    {"group", plan.group()},
                    {"threads", threads},
                    {"bootstraps", plan::bootstraps(plan)},
                    {"bootstrap", describe_bootstrap(plan)},
                    {"keys", plan.keys.keys.size()},
                    {"eval_key_bytes", cost.eval_key_bytes},
                    {"input_bytes", cost.input_bytes},
                    {"output_bytes", cost.output_bytes},
                    {"predicted_seconds", seconds},
                    {"predicted_seconds_per_image", seconds / plan.batch},
                    {"predicted_seconds_by_threads", by_threads},
                    {"critical_path_seconds", plan::critical_path(plan, cost, speed)},
                    {"predicted_peak_bytes", cost.peak_bytes},
                    {"predicted_label_agreement", plan.prediction.label_agreement},
                    {"predicted_score_error", plan.prediction.score_error},
                    {"score_spread", plan.prediction.spread},
                    {"calibration_images", plan.prediction.images},
                    {"calibration_made_up", plan.prediction.made_up},
                    {"parameters", describe_security(parameters)},
                    {"steps", steps}};
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("{}, batch {} (tiles of {}x{}, channels per ciphertext: {}), plan {}\n", plan.network, plan.batch,
             plan.tile.h, plan.tile.w, plan.group(), plan.id);
  fmt::print("ring rank {}, {} + {} primes, log2(QP) {:.0f}, {}, {}\n", 1 << plan.parameters.log_n,
             plan.parameters.ciphertext_primes, plan.parameters.special_primes, parameters.log2_qp(),
             ckks::describe(plan.parameters.security), plan.bootstrapping ? "bootstrapping" : "no bootstrap");
  if (plan.bootstrapping)
    fmt::print(
        "bootstraps: {} ciphertexts, from {} limbs by {} to {}, with errors of 2^{:.0f} of the largest value; "
        "ephemeral "
        "secret of weight {}, {:.0f} bits of modulus; cannot fail\n",
        plan::bootstraps(plan), plan.bootstrapping->input_limbs(), plan.bootstrapping->raised_limbs,
        plan.bootstrapping->output_limbs(), std::log2(plan::NoiseModel::bootstrap()), ckks::kEphemeralWeight,
        2.0 * plan.parameters.prime_bits);
  fmt::print("\n");
  fmt::print("{:<26} {:>12} {:>5} {:>6} {:>7} {:>9} {:>11} {:>11}\n", "layer", "output", "cts", "limbs", "scale",
             "switches", "time", "memory");
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const plan::Step& step = plan.steps[s];
    const plan::Tensor& out = plan.tensors[static_cast<std::size_t>(step.output)];
    // The end of a long name tells more: layers of a block, and what is bootstrapped.
    const std::string name =
        step.name.size() > 26 ? "..." + readable_text(step.name.substr(step.name.size() - 23)) : step.name;
    fmt::print("{:<26} {:>12} {:>5} {:>6} {:>7.2f} {:>9} {:>11} {:>11}\n", name,
               fmt::format("{}x{}x{}", out.layout.channels, out.layout.height, out.layout.width),
               out.layout.ciphertexts(), step.level.count(), std::log2(out.scale), cost.steps[s].key_switches,
               format_seconds(cost.steps[s].seconds(speed)),
               format_bytes(static_cast<double>(cost.steps[s].peak_bytes)));
  }
  fmt::print("\npredicted for one batch on {} threads: {} ({:.3f} s per image), {} of memory\n", threads,
             format_seconds(seconds), seconds / plan.batch, format_bytes(static_cast<double>(cost.peak_bytes)));
  fmt::print("by threads:");
  for (int count : kThreadCounts)
    fmt::print(" {}: {},", count, format_seconds(plan::seconds_with(plan, cost, speed, count)));
  fmt::print(" critical path {}\n", format_seconds(plan::critical_path(plan, cost, speed)));
  fmt::print("keys: {}, {}; input {} and output {} per batch\n", plan.keys.keys.size(),
             format_bytes(static_cast<double>(cost.eval_key_bytes)),
             format_bytes(static_cast<double>(cost.input_bytes)), format_bytes(static_cast<double>(cost.output_bytes)));
  if (plan.prediction.images > 0) fmt::print("{}\n", describe(plan.prediction));
  if (plan.signer) fmt::print("results must be signed with {}\n", signing::to_text(*plan.signer));
  return 0;
}

int run(const PlanOptions& o) {
  const auto kind = wire::kind_of(o.request.model);
  if (kind && o.level_given)
    throw Error(ErrorCode::usage, "--security shapes the plan of a model; " + o.request.model + " is fixed");
  if (kind && (o.request.images > 0 || !o.request.calibrate.empty() || o.request.precise || o.request.relu_error))
    throw Error(ErrorCode::usage, "--batch, --calibrate, --precise and --relu-error shape the plan of a model; " +
                                      o.request.model + " is fixed");
  if (kind == wire::Kind::client && !o.request.memory.empty())
    throw Error(ErrorCode::usage, "--memory needs a model or a plan; a client description does not say what it takes");
  if (kind && (kind == wire::Kind::plan || kind == wire::Kind::client) &&
      lowering::is_training_plan(o.request.model, *kind)) {
    const lowering::TrainingPlan plan = lowering::read_training_plan(o.request.model, *kind);
    if (!o.request.memory.empty()) (void)engine::memory_for(plan, lowering::lower(plan), parse_bytes(o.request.memory));
    show_training(plan, o.as_json, set_threads(o.threads));
    return 0;
  }
  if (kind == wire::Kind::client) return show_client(plan::read_client(o.request.model), o.as_json);
  if (kind && kind != wire::Kind::plan)
    throw Error(ErrorCode::bad_input, o.request.model + " is a Sotto " + std::string(wire::name_of(*kind)) +
                                          " file; plan reads models, plans and client descriptions");
  if (!kind) return show_plan(make_plan(o.request), o);
  const plan::Plan plan = plan::read_plan(o.request.model);
  if (!o.request.memory.empty())
    require_memory(plan::estimate(plan, set_threads(o.threads), parse_bytes(o.request.memory)),
                   parse_bytes(o.request.memory));
  return show_plan(plan, o);
}

}  // namespace

void add_plan(CLI::App& app) {
  auto* verb = app.add_subcommand("plan", "Show what will run: layers, levels, keys, predicted time and memory");
  auto o = std::make_shared<PlanOptions>();
  verb->add_option("FILE", o->request.model, "MODEL.onnx, NAME.plan or NAME.client")->required();
  add_plan_options(*verb, o->request);
  add_reading_options(*verb, o->request.reading, verb->get_option("--calibrate"));
  verb->add_option("--threads", o->threads, "Threads to predict for")->check(CLI::Range(1, 1024));
  verb->add_flag("--json", o->as_json, "JSON instead of a table");
  verb->callback([o, verb] {
    o->level_given = verb->count("--security") > 0;
    throw CLI::RuntimeError(run(*o));
  });
}

}  // namespace sotto::cli
