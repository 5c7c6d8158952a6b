#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "plan/client_spec.h"

namespace sotto::plan {

/// A plan as its file holds it (docs/formats/plan.md): everything but its identity.
struct SerialForm {
  nlohmann::json header;
  std::vector<double> values;  ///< weights, biases and moments, whose numbers the header states
};

SerialForm serial_form(const Plan& plan);
/// The plan of such a header and values, without its identity. What it says is not verified; members that are missing,
/// of another type or out of their range throw as wire::bad_field does.
Plan plan_of(const nlohmann::json& header, std::vector<double> values);

/// The same for what a client gets, identity included.
nlohmann::json to_json(const ClientSpec& spec);
ClientSpec client_of(const nlohmann::json& header);

}  // namespace sotto::plan
