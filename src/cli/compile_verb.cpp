#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/planning.h"
#include "cli/signing_options.h"
#include "cli/step_report.h"
#include "cli/training.h"
#include "cli/verbs.h"
#include "plan/identity.h"
#include "plan/plan_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace {

struct CompileOptions {
  PlanRequest request;
  std::string out, train, signer;
  StepReport report;
};

// NAME of NAME, NAME.plan and NAME.client alike.
std::string base_name(const std::string& out) {
  for (const std::string ending : {".plan", ".client"})
    if (out.ends_with(ending) && std::filesystem::path(out).filename() != ending)
      return out.substr(0, out.size() - ending.size());
  return out;
}

void print_files(const std::string& plan_path, const std::string& client_path) {
  fmt::print("wrote {} (stays with the server) and {} (public, for the client)\n", plan_path, client_path);
}

using Signer = std::optional<signing::VerificationKey>;

// Part of the report, and a line.
void show_signer(const Signer& signer, StepReport& report) {
  report.add("signer", describe_signer(signer));
  if (signer && !report.streamed()) fmt::print("results must be signed with {}\n", signing::to_text(*signer));
}

int run_training(CompileOptions& o, const Signer& signer, const std::string& plan_path,
                 const std::string& client_path) {
  const std::string made =
      compile_training(o.request.model, o.train, o.request.calibrate, o.request.reading,
                       ckks::level_named(o.request.security).value(), signer, plan_path, client_path);
  o.report.add_bytes("plan_bytes", plan_path);
  o.report.add_bytes("client_bytes", client_path);
  show_signer(signer, o.report);
  o.report.write();
  if (o.report.streamed()) return 0;
  fmt::print("{}", made);
  print_files(plan_path, client_path);
  return 0;
}

int run(CompileOptions& o) {
  for (const auto& inputs : {std::vector{o.request.model, o.train}, o.request.calibrate})
    wire::require_kept(inputs, std::array{o.report.path()});
  o.report.start();
  const std::string base = base_name(o.out);
  const auto plan_path = base + ".plan", client_path = base + ".client";
  const Signer signer = o.signer.empty() ? Signer() : read_verification_key(o.signer);
  if (!o.train.empty()) return run_training(o, signer, plan_path, client_path);
  plan::Plan plan = make_plan(o.request);
  if (signer) plan::set_signer(plan, *signer);
  check_stop();
  wire::require_writable(plan_path, wire::Kind::plan);  // both or none
  wire::require_writable(client_path, wire::Kind::client);
  plan::write_plan(plan_path, plan);
  plan::write_client(client_path, plan::client_part(plan));
  o.report.add("batch", plan.batch);
  o.report.add("plan_id", plan.id);
  o.report.add("predicted_label_agreement", plan.prediction.label_agreement);
  o.report.add_bytes("plan_bytes", plan_path);
  o.report.add_bytes("client_bytes", client_path);
  show_signer(signer, o.report);
  o.report.write();
  if (o.report.streamed()) return 0;
  const plan::Cost cost = plan::estimate(plan);
  fmt::print("{}: {} layers for batches of {} images; about {} of memory to run; plan {}\n", plan.network,
             plan.steps.size(), plan.batch, format_bytes(static_cast<double>(cost.peak_bytes)), plan.id);
  fmt::print("{}\n", describe(plan.prediction));
  print_files(plan_path, client_path);
  return 0;
}

}  // namespace

void add_compile(CLI::App& app) {
  auto* verb =
      app.add_subcommand("compile", "Turn a network into a plan for the server and a description for the client");
  auto o = std::make_shared<CompileOptions>();
  verb->add_option("MODEL", o->request.model, "The network, ONNX")->required();
  verb->add_option("--out", o->out, "Writes OUT.plan and OUT.client (OUT may end in .plan)")->required();
  auto* train =
      verb->add_option("--train", o->train, "Plan the training that this SPEC.toml describes, in place of inference");
  verb->add_option("--signer", o->signer,
                   "Results of this plan must be signed by this key: a signing key (sotto signing-key), or the 64 "
                   "digits of its verification key");
  add_plan_options(*verb, o->request);
  for (const char* name : {"--batch", "--agreement", "--memory", "--precise", "--relu-error"})
    verb->get_option(name)->excludes(train);
  add_reading_options(*verb, o->request.reading, verb->get_option("--calibrate"));
  o->report.add_option(*verb);
  verb->callback([o] { throw CLI::RuntimeError(run(*o)); });
}

}  // namespace sotto::cli
