#pragma once

#include "ckks/parameters.h"

namespace sotto::ckks {

/// Parameter sets without any security, for fast tests: the only way around the security table, and only in tests.
struct ToyParameters {
  static Parameters make(const ParametersSpec& spec) { return Parameters(spec, 0); }
};

}  // namespace sotto::ckks
