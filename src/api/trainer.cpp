#include "sotto/trainer.h"

#include <utility>

#include "api/keys.h"
#include "engine/trainer.h"

namespace sotto {

struct Trainer::State {
  State(lowering::TrainingPlan plan, engine::ServerOptions options) : trainer(std::move(plan), std::move(options)) {}

  engine::Trainer trainer;
};

Trainer::Trainer(const TrainingPlan& plan, const ServerOptions& options) {
  engine::ServerOptions o;
  o.memory = options.memory;
  if (options.signing_key) o.signer = options.signing_key->internal();
  o.owners_only = options.owners_only;
  state_ = std::make_unique<State>(plan.internal(), std::move(o));
}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

EvaluationKeys Trainer::open_keys(const Source& source) const {
  return EvaluationKeys(std::make_unique<EvaluationKeys::State>(
      EvaluationKeys::State{state_->trainer.open_keys(source), state_->trainer.plan().id}));
}

TrainingReport Trainer::train(const Source& input, EvaluationKeys& keys, const Sink& output, const Hooks& hooks) {
  engine::TrainingHooks h;
  h.stop = hooks.stop;
  if (hooks.progress)
    h.progress = [&hooks](const engine::TrainingProgress& p) {
      const std::string number = std::to_string(p.step + 1) + " of " + std::to_string(p.steps);
      hooks.progress({p.features ? "features" : "training", p.done, (p.features ? "run " : "step ") + number});
    };
  const engine::TrainingReport r = state_->trainer.train(input, keys.state_->of(state_->trainer.plan().id), output, h);
  return {r.steps,        r.steps_of_an_earlier_run, r.images,        r.feature_seconds,
          r.read_seconds, r.compute_seconds,         r.write_seconds, r.step_seconds};
}

}  // namespace sotto
