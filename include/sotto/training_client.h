#pragma once

#include <memory>
#include <span>
#include <string>

#include "sotto/client.h"
#include "sotto/training_plan.h"

/// The side of the owner of images and labels in a training. Link Sotto::client.
namespace sotto {

/// Keys, encryption and decryption for one training. Can be moved, not copied.
class TrainingClient {
 public:
  /// `key` may serve other plans, too. Throws Error{bad_input} for parameters or keys below 128 bits (SECURITY.md).
  TrainingClient(TrainingPlan plan, SecretKey key);
  ~TrainingClient();
  TrainingClient(TrainingClient&&) noexcept;             ///< The other one may only be destroyed or assigned to.
  TrainingClient& operator=(TrainingClient&&) noexcept;  ///< The other one may only be destroyed or assigned to.

  [[nodiscard]] const TrainingPlan& plan() const;  ///< of the training
  [[nodiscard]] const SecretKey& key() const;      ///< under which it encrypts

  /// As Client::write_evaluation_keys.
  void write_evaluation_keys(const Sink& sink, const Hooks& hooks = {}) const;

  /// Encrypts images with their labels (by image, from 0): as many whole batches as they make, shuffled by the spec's
  /// seed; a note says how many are left over. Returns the name of the input. Throws Error{bad_input} for images of
  /// another shape, labels that no score has, or fewer images than a batch takes; Error{interrupted}; `sink` may throw,
  /// too.
  std::string encrypt(const ImagesView& images, std::span<const int> labels, const Sink& sink,
                      const Hooks& hooks = {}) const;

  /// Decrypts what a trainer made of an input. Throws Error{wrong_key} if it belongs to another key or plan, is not
  /// signed as the plan promises or has another origin than asked for, Error{bad_input} if it is damaged or lacks
  /// steps, Error{usage} for an origin that is no key, Error{interrupted}.
  [[nodiscard]] TrainingResult decrypt(const Source& source, const Hooks& hooks = {}, const Origin& origin = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
