#pragma once

#include "api/signing.h"
#include "client/origin.h"
#include "sotto/client.h"

namespace sotto::api {

/// Throws Error{usage} for what is no verification key.
inline client::Origin origin_of(const Origin& origin) {
  client::Origin out;
  out.signer = verification_key_of(origin.signer);
  out.input_id = origin.input_id;
  out.input_signer = verification_key_of(origin.input_signer);
  out.by_owner = !origin.input_id.empty() && !out.input_signer;
  return out;
}

}  // namespace sotto::api
