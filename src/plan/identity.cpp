#include "plan/identity.h"

#include <sodium.h>

#include "plan/serial_form.h"

namespace sotto::plan {

std::string plan_id(const Plan& plan) {
  nlohmann::json header = header_of(plan);
  // Names may change: models are renamed, and layers, too.
  header.erase("network");
  for (const char* list : {"tensors", "steps"})
    for (nlohmann::json& entry : header[list]) entry.erase("name");
  const std::string text = header.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 16);
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  for_each_list(plan, [&](const std::vector<double>& v) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(v.data()), v.size() * sizeof(double));
  });
  unsigned char hash[16];
  crypto_generichash_final(&state, hash, sizeof hash);
  char hex[33];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  return hex;
}

}  // namespace sotto::plan
