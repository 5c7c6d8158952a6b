#include "sotto/training_client.h"

#include <utility>

#include "api/origin.h"
#include "api/progress.h"
#include "api/training.h"
#include "client/training.h"

namespace sotto {

struct TrainingClient::State {
  TrainingPlan plan;
  SecretKey key;
  client::Keys keys;
};

TrainingClient::TrainingClient(TrainingPlan plan, SecretKey key) {
  client::Keys keys = client::keys_of(key.internal(), ckks::Parameters::create(plan.internal().parameters));
  state_ = std::make_unique<State>(State{std::move(plan), std::move(key), std::move(keys)});
}

TrainingClient::~TrainingClient() = default;
TrainingClient::TrainingClient(TrainingClient&&) noexcept = default;
TrainingClient& TrainingClient::operator=(TrainingClient&&) noexcept = default;

const TrainingPlan& TrainingClient::plan() const { return state_->plan; }
const SecretKey& TrainingClient::key() const { return state_->key; }

void TrainingClient::write_evaluation_keys(const Sink& sink, const Hooks& hooks) const {
  const ckks::KeyList list(state_->keys.parameters, lowering::all_keys_of(state_->plan.internal()));
  client::write_evaluation_keys(list, state_->key.internal(), sink, api::progress_for(hooks, "evaluation keys"));
}

std::string TrainingClient::encrypt(const ImagesView& images, std::span<const int> labels, const Sink& sink,
                                    const Hooks& hooks) const {
  const lowering::TrainingPlan& plan = state_->plan.internal();
  const auto examples = api::examples_of(plan, images, labels);
  api::note_left_over(plan, examples.size(), hooks);
  return client::encrypt_examples(plan, state_->keys, examples, sink, api::progress_for(hooks, "encryption")).id;
}

TrainingResult TrainingClient::decrypt(const Source& source, const Hooks& hooks, const Origin& origin) const {
  const lowering::TrainingPlan& plan = state_->plan.internal();
  client::DecryptedTraining d = client::decrypt_training(
      plan, state_->keys, source, api::progress_for(hooks, "decryption"), api::origin_of(origin));
  TrainingResult r = api::result_of(plan, std::move(d.losses), d.states, d.overflow);
  r.input_id = std::move(d.file.input_id);
  r.images_out_of_range = d.out_of_range;
  r.spoiled = d.spoiled;
  if (d.spoiled || r.summary.empty()) r.summary = training::range_note(d.out_of_range, d.spoiled);
  return r;
}

}  // namespace sotto
