#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "plan/client_spec.h"

namespace sotto::plan {

/// Hash of a plan's serial form (plan/serial_form.h) without names: 64 hexadecimal digits.
std::string digest_of(const Plan& plan);
/// The same of a header and what goes with it, for plans of other kinds.
std::string digest_of(const nlohmann::json& header, std::span<const unsigned char> data);

/// Identity of a plan for keys, inputs and outputs, 32 hexadecimal digits: a hash of all that a client is told, names
/// of network and input apart, with the digest of the rest. So whoever reads a client description can check it.
std::string plan_id(const ClientSpec& spec);
std::string plan_id(const Plan& plan);

/// A key that only those can compute who have the plan's weights: a hash of what digest_of covers, of its own domain.
using PlanKey = std::array<unsigned char, 32>;
PlanKey key_of(const Plan& plan);
/// Makes a plan one whose results must be signed, which gives it another identity.
void set_signer(Plan& plan, const signing::VerificationKey& signer);

}  // namespace sotto::plan
