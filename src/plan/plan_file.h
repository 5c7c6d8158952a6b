#pragma once

#include "plan/client_spec.h"
#include "sotto/io.h"

namespace sotto::plan {

/// Files of docs/formats/plan.md. Reading verifies everything (see `verify`) and throws Error{bad_input} that names the
/// source.
void write_plan(const Sink& sink, const Plan& plan);
Plan read_plan(const sotto::Source& source);

void write_client(const Sink& sink, const ClientSpec& spec);
ClientSpec read_client(const sotto::Source& source);

}  // namespace sotto::plan
