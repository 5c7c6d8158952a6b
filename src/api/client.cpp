#include "sotto/client.h"

#include <utility>

#include "api/origin.h"
#include "api/progress.h"
#include "api/signing.h"
#include "api/values.h"
#include "base/error.h"
#include "client/batch.h"
#include "client/key_files.h"
#include "client/results.h"

namespace sotto {

SecretKey::SecretKey(std::shared_ptr<const secret::OwnerKey> key) : key_(std::move(key)) {}

SecretKey SecretKey::generate() {
  return SecretKey(std::make_shared<const secret::OwnerKey>(secret::OwnerKey::generate()));
}

SecretKey SecretKey::read(const std::filesystem::path& path) {
  return SecretKey(std::make_shared<const secret::OwnerKey>(client::read_owner_key(path)));
}

void SecretKey::write(const std::filesystem::path& path, bool replace) const {
  client::write_owner_key(*key_, path, replace);
}

std::string SecretKey::id() const { return key_->id(); }

struct Client::State {
  ClientSpec spec;
  SecretKey key;
  client::Keys keys;
  ckks::KeyList evaluation_keys;
};

Client::Client(ClientSpec spec, SecretKey key) {
  api::require_inference(spec.internal());
  client::Keys keys = client::keys_of(key.internal(), ckks::Parameters::create(spec.internal().parameters));
  ckks::KeyList list(keys.parameters, spec.internal().keys);
  state_ = std::make_unique<State>(State{std::move(spec), std::move(key), std::move(keys), std::move(list)});
}

Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

const ClientSpec& Client::spec() const { return state_->spec; }
const SecretKey& Client::key() const { return state_->key; }

void Client::write_evaluation_keys(const Sink& sink, const Hooks& hooks) const {
  client::write_evaluation_keys(state_->evaluation_keys, state_->key.internal(), sink,
                                api::progress_for(hooks, "evaluation keys"));
}

void write_evaluation_keys(const std::vector<ClientSpec>& specs, const SecretKey& key, const Sink& sink,
                           const Hooks& hooks) {
  if (specs.empty()) throw Error(ErrorCode::usage, "name at least one plan that the keys are for");
  ckks::KeyList list;
  for (const ClientSpec& s : specs) list.add(ckks::Parameters::create(s.internal().parameters), s.internal().keys);
  client::write_evaluation_keys(list, key.internal(), sink, api::progress_for(hooks, "evaluation keys"));
}

void Client::write_public_key(const Sink& sink) const {
  client::write_public_key(state_->spec.internal(), state_->keys, sink);
}

std::string Client::encrypt(const ImagesView& images, const Sink& sink, const Hooks& hooks) const {
  const plan::ClientSpec& spec = state_->spec.internal();
  return client::encrypt_images(spec, state_->keys, api::values_of(images, spec.io), sink,
                                api::progress_for(hooks, "encryption"))
      .id;
}

Results Client::decrypt(const Source& source, const DecryptOptions& options, const Hooks& hooks) const {
  if (!(options.flood >= 0)) throw Error(ErrorCode::usage, "the noise of flooding is not negative");
  const client::Decrypted decrypted =
      client::decrypt_scores(state_->spec.internal(), state_->keys, source,
                             {options.flood, api::origin_of(options.origin)}, api::progress_for(hooks, "decryption"));
  Results out;
  out.images = decrypted.scores.size();
  out.classes = static_cast<std::size_t>(state_->spec.scores());
  for (const auto& row : decrypted.scores) {
    out.scores.insert(out.scores.end(), row.begin(), row.end());
    out.labels.push_back(client::argmax(row));
  }
  out.doubts = decrypted.doubts;
  out.input_id = decrypted.input_id;
  out.input_signer = api::text_of(decrypted.input_signer);
  out.summary = client::summary_of(decrypted.doubts, decrypted.batch);
  return out;
}

}  // namespace sotto
