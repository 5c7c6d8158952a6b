#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckks/eval_key.h"
#include "inputs/write_input.h"
#include "plan/client_spec.h"
#include "secret/secret_key.h"
#include "sotto/io.h"

namespace sotto::client {

using inputs::ProgressFn;

/// A client's side of the cryptography in the ring of a plan.
struct Keys {
  ckks::Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  secret::SecretKey secret;
  signing::SigningKey signing;  ///< of the owner
};

/// Those of an owner.
Keys keys_of(const secret::OwnerKey& owner, ckks::Parameters parameters);

/// Writes PATH, or PATH/secret.key if PATH is a folder, mode 0600.
/// Throws Error{usage} if a key is there and `replace` is not set: without it, old results could never be decrypted.
void write_owner_key(const secret::OwnerKey& key, const std::filesystem::path& path, bool replace);

/// Reads PATH, or PATH/secret.key if PATH is a folder. Throws Error{bad_input} for a damaged file.
secret::OwnerKey read_owner_key(const std::filesystem::path& path);

/// What the evaluation keys of a list take in a file.
std::uint64_t evaluation_key_bytes(const ckks::KeyList& list);

/// Makes the evaluation keys of a list. before_commit() is called when all are written and may still be dropped.
void write_evaluation_keys(const ckks::KeyList& list, const secret::OwnerKey& owner, const Sink& sink,
                           const ProgressFn& progress, const std::function<void()>& before_commit = {});

/// Makes the public key with which others encrypt for this plan, and for others of its ring that need no more levels.
void write_public_key(const plan::ClientSpec& spec, const Keys& keys, const Sink& sink);

/// A plan that keys are made for. The parameters are those of the description.
struct PlanToServe {
  plan::ClientSpec spec;
  ckks::Parameters parameters;
};

/// Where make_keys writes, and what it does with what is there already.
struct KeyFileOptions {
  std::filesystem::path evaluation_keys = {};  ///< where they go; empty: DIR/eval.key
  std::filesystem::path public_key = {};       ///< where one goes; empty: none is made
  bool replace = false;                        ///< all keys, the secret one, too
};

/// What make_keys made.
struct MadeKeys {
  std::string key_id;  ///< of the secret key
  bool secret = false, public_key = false;
  std::optional<std::size_t> evaluation = {};  ///< number of evaluation keys; none: their file stayed as it was
};

/// Makes the evaluation keys of some plans in one file, those that they have in common once, and a public key if asked
/// for, under the secret key DIR/secret.key, which is made if there is none: one secret key serves all plans. If a
/// public key is asked for, DIR/eval.key stays where it exists, and so does a public key that serves the plans. The
/// plans become known ones of DIR (client/known_plans.h). Throws Error{usage} if DIR/eval.key exists and nothing of the
/// options is set, if the named files hold keys of another owner or ring or keys that other plans need, if a public key
/// is asked for plans of different rings, or if another program is making keys there; Error{no_resources} if there is
/// no room for the keys.
MadeKeys make_keys(const std::vector<PlanToServe>& plans, const std::filesystem::path& dir,
                   const KeyFileOptions& options, const ProgressFn& progress);

/// Reads DIR/secret.key, or the file DIR, for the ring of a plan.
Keys read_keys(ckks::Parameters parameters, const std::filesystem::path& dir);

}  // namespace sotto::client
