#include "sotto/encryptor.h"

#include <utility>

#include "api/progress.h"
#include "api/values.h"
#include "inputs/encryptor.h"

namespace sotto {

struct Encryptor::State {
  State(ClientSpec of, const Source& public_key)
      : spec(std::move(of)),
        encryptor(for_inference(spec.internal()), ckks::Parameters::create(spec.internal().parameters), public_key) {}

  static const plan::ClientSpec& for_inference(const plan::ClientSpec& spec) {
    api::require_inference(spec);
    return spec;
  }

  ClientSpec spec;
  inputs::Encryptor encryptor;
};

Encryptor::Encryptor(ClientSpec spec, const Source& public_key)
    : state_(std::make_unique<State>(std::move(spec), public_key)) {}

Encryptor::~Encryptor() = default;
Encryptor::Encryptor(Encryptor&&) noexcept = default;
Encryptor& Encryptor::operator=(Encryptor&&) noexcept = default;

const ClientSpec& Encryptor::spec() const { return state_->spec; }
std::string Encryptor::key_id() const { return state_->encryptor.key_id(); }

std::string Encryptor::encrypt(const ImagesView& images, const Sink& sink, const Hooks& hooks) const {
  return state_->encryptor.encrypt(api::values_of(images, state_->spec.internal().io), sink,
                                   api::progress_for(hooks, "encryption"));
}

}  // namespace sotto
