#pragma once

#include "plan/client_spec.h"
#include "sotto/io.h"

namespace sotto::plan {

/// Files of docs/formats/plan.md. Reading verifies everything (see `verify`) and throws Error{bad_input} that names the
/// source. map: whether the plan may end in one, as a part of another; else it ends in scores.
void write_plan(const Sink& sink, const Plan& plan);
Plan read_plan(const sotto::Source& source, bool map = false);

void write_client(const Sink& sink, const ClientSpec& spec);
/// Of a training: what it shares with every description; lowering::read_training_plan checks the rest.
ClientSpec read_client(const sotto::Source& source);

}  // namespace sotto::plan
