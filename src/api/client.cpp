#include "sotto/client.h"

#include <utility>

#include "api/origin.h"
#include "api/progress.h"
#include "api/signing.h"
#include "api/values.h"
#include "base/error.h"
#include "client/batch.h"
#include "client/key_files.h"
#include "client/publish.h"
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
  const client::Decrypted decrypted = client::decrypt_scores(
      state_->spec.internal(), state_->keys, source, {.flood = options.flood, .origin = api::origin_of(options.origin)},
      api::progress_for(hooks, "decryption"));
  Results out;
  out.images = decrypted.scores.size();
  out.classes = static_cast<std::size_t>(state_->spec.scores());
  for (const auto& row : decrypted.scores) {
    out.scores.insert(out.scores.end(), row.begin(), row.end());
    out.labels.push_back(client::argmax(row));
  }
  out.doubts = decrypted.doubts;
  out.input_id = decrypted.file.input_id;
  out.input_signer = api::text_of(decrypted.file.input_signer);
  out.summary = client::summary_of(decrypted.doubts, decrypted.batch);
  return out;
}

Publication Client::publish(const Source& source, const std::filesystem::path& folder, const PublishOptions& options,
                            const Hooks& hooks) const {
  if (!(options.key_bits > 0) || !(options.statistical_bits.value_or(1) > 0) || options.releases < 1)
    throw Error(ErrorCode::usage, "publishing takes bits above 0 and at least one release");
  const client::Published what =
      options.what == Published::labels ? client::Published::labels : client::Published::scores;
  const client::Target target{.key_bits = options.key_bits,
                              .statistical_bits = options.statistical_bits,
                              .releases = options.releases,
                              .security_bits = state_->keys.parameters.security_bits()};
  client::Publication p =
      client::publish_results(state_->spec.internal(), state_->key.internal(), state_->keys, folder, source,
                              {what, target, api::origin_of(options.origin)}, api::progress_for(hooks, "decryption"));
  Publication out;
  out.images = p.labels.size();
  out.classes = static_cast<std::size_t>(state_->spec.scores());
  out.labels = std::move(p.labels);
  for (const auto& row : p.scores) out.scores.insert(out.scores.end(), row.begin(), row.end());
  out.deviation = p.noise.deviation;
  out.margin = p.noise.margin;
  out.step = p.noise.step;
  out.key_bits = p.key_bits;
  out.statistical_bits = p.statistical_bits;
  out.again = p.again;
  out.summary = client::summary_of(p.doubts, p.batch);
  out.doubts = std::move(p.doubts);
  return out;
}

}  // namespace sotto
