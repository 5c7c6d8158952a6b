#include "sotto/server.h"

#include <utility>

#include "api/keys.h"
#include "engine/server.h"

namespace sotto {

EvaluationKeys::EvaluationKeys(std::unique_ptr<State> state) : state_(std::move(state)) {}
EvaluationKeys::~EvaluationKeys() = default;
EvaluationKeys::EvaluationKeys(EvaluationKeys&&) noexcept = default;
EvaluationKeys& EvaluationKeys::operator=(EvaluationKeys&&) noexcept = default;

std::string EvaluationKeys::key_id() const { return state_->file->key_id(); }

struct Server::State {
  State(plan::Plan plan, engine::ServerOptions options) : server(std::move(plan), std::move(options)) {}

  engine::Server server;
};

Server::Server(const Plan& plan, ServerOptions options) {
  engine::ServerOptions o;
  o.memory = options.memory;
  o.scratch = std::move(options.scratch);
  o.keep_keys = true;
  if (options.signing_key) o.signer = options.signing_key->internal();
  o.owners_only = options.owners_only;
  state_ = std::make_unique<State>(plan.internal(), std::move(o));
}

Server::~Server() = default;
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;

EvaluationKeys Server::open_keys(const Source& source) const {
  return EvaluationKeys(std::make_unique<EvaluationKeys::State>(
      EvaluationKeys::State{state_->server.open_keys(source), state_->server.plan().id}));
}

InferenceReport Server::infer(const Source& input, EvaluationKeys& keys, const Sink& output, const Hooks& hooks,
                              const std::optional<Source>& public_key) {
  engine::InferenceHooks h;
  h.stop = hooks.stop;
  if (hooks.progress)
    h.progress = [&hooks](const engine::InferenceProgress& p) { hooks.progress({"inference", p.done, p.what}); };
  const engine::InferenceReport r =
      state_->server.infer(input, keys.state_->of(state_->server.plan().id), output, h, public_key);
  return {r.images, r.batches, r.batches_of_an_earlier_run, r.read_seconds, r.compute_seconds, r.write_seconds};
}

}  // namespace sotto
