#include <utility>

#include "plan/client_spec.h"
#include "plan/identity.h"
#include "plan/probe.h"

namespace sotto::plan {

ClientSpec client_part(const Plan& plan) {
  Tensor input = plan.input();
  input.moments = {};  // the server's
  return {plan.network,
          plan.parameters,
          plan.tile,
          plan.batch,
          std::move(input),
          plan.output().level,
          plan.output().scale,
          plan.keys,
          plan.io,
          watch_of(plan),
          digest_of(plan),
          plan.id,
          plan.signer,
          false};
}

}  // namespace sotto::plan
