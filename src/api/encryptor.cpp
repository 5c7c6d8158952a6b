#include "sotto/encryptor.h"

#include <utility>

#include "api/progress.h"
#include "api/values.h"
#include "inputs/encryptor.h"

namespace sotto {

struct Encryptor::State {
  State(ClientSpec of, const Source& public_key, const std::optional<SigningKey>& signing_key)
      : spec(std::move(of)),
        signer(signing_key ? signing_key->internal() : nullptr),
        encryptor(for_inference(spec.internal()), ckks::Parameters::create(spec.internal().parameters), public_key) {}

  static const plan::ClientSpec& for_inference(const plan::ClientSpec& spec) {
    api::require_inference(spec);
    return spec;
  }

  ClientSpec spec;
  std::shared_ptr<const signing::SigningKey> signer;
  inputs::Encryptor encryptor;
};

Encryptor::Encryptor(ClientSpec spec, const Source& public_key, const std::optional<SigningKey>& signing_key)
    : state_(std::make_unique<State>(std::move(spec), public_key, signing_key)) {}

Encryptor::~Encryptor() = default;
Encryptor::Encryptor(Encryptor&&) noexcept = default;
Encryptor& Encryptor::operator=(Encryptor&&) noexcept = default;

const ClientSpec& Encryptor::spec() const { return state_->spec; }
std::string Encryptor::key_id() const { return state_->encryptor.key_id(); }

std::string Encryptor::encrypt(const ImagesView& images, const Sink& sink, const Hooks& hooks) const {
  return state_->encryptor
      .encrypt(api::values_of(images, state_->spec.internal().io), sink, api::progress_for(hooks, "encryption"),
               state_->signer.get())
      .id;
}

}  // namespace sotto
