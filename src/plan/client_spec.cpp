#include "plan/client_spec.h"

#include <cmath>

#include "base/error.h"
#include "plan/probe.h"
#include "plan/verify.h"

namespace sotto::plan {

void verify(const ClientSpec& spec) {
  const auto bad = [](const char* what) {
    throw Error(ErrorCode::bad_input, std::string("the client description is not valid: ") + what);
  };
  verify_interface(spec.parameters, spec.tile, spec.batch, spec.input, spec.io);
  verify_level(spec.parameters, spec.input.level, "the input: ");
  verify_level(spec.parameters, spec.output_level, "the output: ");
  // As of the tensors of a plan: that of huge numbers is small.
  for (const double scale : {spec.input.scale, spec.output_scale})
    if (!(scale > 0x1p-400) || !(scale < 0x1p400)) bad("impossible scale");
  verify_keys(spec.parameters, spec.keys);
  verify_watch(spec.watch, spec.parameters.prime_bits, spec.tile, spec.input.layout.group);
}

}  // namespace sotto::plan
