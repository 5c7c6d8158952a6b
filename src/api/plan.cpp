#include <utility>

#include "api/planning.h"
#include "api/security.h"
#include "api/signing.h"
#include "api/training.h"
#include "api/values.h"
#include "base/error.h"
#include "base/parallel.h"
#include "compiler/compile.h"
#include "engine/planner.h"
#include "graph/onnx_import.h"
#include "plan/cost.h"
#include "plan/identity.h"
#include "plan/parallelism.h"
#include "plan/plan_file.h"
#include "sotto/server.h"

namespace sotto {

namespace {

constexpr int kMostImages = 65536;

int threads_or_all(int threads) { return threads > 0 ? threads : available_threads(); }

LayerKind kind_of(plan::Kind kind) {
  switch (kind) {
    case plan::Kind::square:
      return LayerKind::square;
    case plan::Kind::multiply:
      return LayerKind::product;
    case plan::Kind::activate:
      return LayerKind::polynomial;
    case plan::Kind::bootstrap:
      return LayerKind::bootstrap;
    case plan::Kind::sum:
      break;
  }
  return LayerKind::sum;
}

}  // namespace

Plan::Plan(plan::Plan plan) : plan_(std::make_shared<const plan::Plan>(std::move(plan))) {}

Plan Plan::compile(const std::filesystem::path& model, const PlanOptions& options, const Hooks& hooks) {
  if (options.images < 1 || options.images > kMostImages)
    throw Error(ErrorCode::usage, "a plan is for 1 to 65536 images", Setting::count);
  if (!(options.agreement >= 0 && options.agreement < 1))
    throw Error(ErrorCode::usage, "the agreement of labels is a part, 0 .. 1", Setting::agreement);
  const auto signer = api::verification_key_of(options.signer);
  graph::Network network = graph::import_onnx(model);
  if (hooks.note)
    for (const std::string& note : network.notes) hooks.note(model.string() + ": " + note);
  const compiler::PlanningHooks planning = api::planning_hooks_for(hooks);
  try {
    compiler::Calibration calibration = api::calibration_for(options.calibration, compiler::interface_of(network));
    engine::MeasuredNetwork measured = engine::measure(std::move(network), std::move(calibration), options.agreement,
                                                       options.function_error, planning);
    const engine::PlannerOptions limits{options.agreement, options.memory, api::level_of(options.security),
                                        options.precise};
    plan::Plan plan = engine::Planner(std::move(measured), limits, planning).plan(options.images);
    if (signer) plan::set_signer(plan, *signer);
    return Plan(std::move(plan));
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    throw Error(e.code(), model.string() + ": " + e.what(), e.setting());
  }
}

Plan Plan::read(const Source& source) { return Plan(plan::read_plan(source)); }
void Plan::write(const Sink& sink) const { plan::write_plan(sink, *plan_); }

ClientSpec Plan::client_spec() const { return ClientSpec(plan::client_part(*plan_)); }
int Plan::batch() const { return plan_->batch; }
double Plan::predicted_agreement() const { return plan_->prediction.label_agreement; }
double Plan::predicted_score_error() const { return plan_->prediction.score_error; }
double Plan::score_spread() const { return plan_->prediction.spread; }

double Plan::seconds(int threads) const {
  const plan::Cost cost = plan::estimate(*plan_, threads_or_all(threads));
  return plan::seconds_with(*plan_, cost, plan::kTypicalSpeed, threads_or_all(threads));
}

std::vector<Layer> Plan::layers(int threads) const {
  const plan::Cost cost = plan::estimate(*plan_, threads_or_all(threads));
  plan::Speed speed = plan::kTypicalSpeed;
  speed.threads = threads_or_all(threads);
  std::vector<Layer> out;
  for (std::size_t s = 0; s < plan_->steps.size(); ++s) {
    const plan::Step& step = plan_->steps[s];
    const plan::Layout& l = plan_->tensors[static_cast<std::size_t>(step.output)].layout;
    out.push_back({step.name, kind_of(step.kind), l.channels, l.height, l.width,
                   static_cast<std::size_t>(l.ciphertexts()), step.level.count(), cost.steps[s].key_switches,
                   cost.steps[s].seconds(speed), cost.steps[s].peak_bytes});
  }
  return out;
}

std::uint64_t Plan::memory() const { return plan::estimate(*plan_, threads_or_all(0)).peak_bytes; }
std::uint64_t Plan::least_memory() const { return plan::estimate(*plan_, threads_or_all(0), 1).least_bytes; }

}  // namespace sotto
