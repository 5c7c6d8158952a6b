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
  if (!(spec.input.scale > 1) || !(spec.input.scale < 0x1p100) || !(spec.output_scale > 0x1p-400) ||
      !(spec.output_scale < 0x1p400))
    bad("impossible scale");
  verify_keys(spec.parameters, spec.keys);
  verify_watch(spec.watch, spec.parameters.prime_bits, spec.tile, spec.input.layout.group);
}

}  // namespace sotto::plan
