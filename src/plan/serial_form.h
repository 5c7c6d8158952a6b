#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "plan/client_spec.h"

namespace sotto::plan {

/// A plan as its file holds it (docs/formats/plan.md): everything but its identity. The header states the numbers of
/// weights, biases and moments; those follow one another as for_each_list gives them.
nlohmann::json header_of(const Plan& plan);
void for_each_list(const Plan& plan, const std::function<void(const std::vector<double>&)>& list);
/// The plan of such a header and values, without its identity. What it says is not verified; members that are missing,
/// of another type or out of their range throw as wire::bad_field does.
Plan plan_of(const nlohmann::json& header, std::vector<double> values);

/// Keys as both files name them.
nlohmann::json to_json(const ckks::KeyRequest& keys);
ckks::KeyRequest keys_from_json(const nlohmann::json& keys);

/// The same for what a client gets, identity included.
nlohmann::json to_json(const ClientSpec& spec);
ClientSpec client_of(const nlohmann::json& header);

}  // namespace sotto::plan
