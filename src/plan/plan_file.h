#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "plan/client_spec.h"

namespace sotto::plan {

/// Files of docs/formats/plan.md. Reading verifies everything (see `verify`) and throws Error{bad_input} that names the
/// file.
void write_plan(const std::filesystem::path& path, const Plan& plan);
Plan read_plan(const std::filesystem::path& path);

void write_client(const std::filesystem::path& path, const ClientSpec& spec);
ClientSpec read_client(const std::filesystem::path& path);

/// The parts that several files share.
nlohmann::json to_json(const ckks::ParametersSpec& p);
ckks::ParametersSpec parameters_from_json(const nlohmann::json& j);

}  // namespace sotto::plan
