#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sotto/error.h"
#include "sotto/hooks.h"
#include "sotto/images.h"
#include "sotto/io.h"
#include "sotto/signing.h"
#include "sotto/spec.h"

/// The side of someone who encrypts for the owner of a secret key. Link Sotto::encryptor, which holds no code for
/// secret keys: a program with it alone cannot decrypt.
namespace sotto {

/// Encrypts images for an owner, given the public key that Client::write_public_key made. Can be moved, not copied.
///
/// The public key must come from the owner and from nobody else: who replaced it could read the images. Compare
/// key_id() with what the owner tells. Scores must not come back to whoever encrypted (SECURITY.md).
class Encryptor {
 public:
  /// signing_key: signs what is encrypted, so that the owner can tell whose it is (Origin::input_signer).
  ///
  /// Throws Error{bad_input} for a damaged key and for parameters below 128 bits (SECURITY.md), Error{wrong_key} for a
  /// key of another ring or too short for the plan, Error{usage} for a training plan.
  Encryptor(ClientSpec spec, const Source& public_key, const std::optional<SigningKey>& signing_key = {});
  ~Encryptor();
  Encryptor(Encryptor&&) noexcept;             ///< The other one may only be destroyed or assigned to.
  Encryptor& operator=(Encryptor&&) noexcept;  ///< The other one may only be destroyed or assigned to.

  [[nodiscard]] const ClientSpec& spec() const;  ///< of the plan
  /// SecretKey::id of the owner, who signed the public key.
  [[nodiscard]] std::string key_id() const;

  /// As Client::encrypt, into twice as many bytes.
  std::string encrypt(const ImagesView& images, const Sink& sink, const Hooks& hooks = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
