#include "plan/identity.h"

#include <sodium.h>

#include "plan/serial_form.h"
#include "wire/fields.h"

namespace sotto::plan {

namespace {

constexpr std::size_t kDigestBytes = 32, kIdBytes = 16;

// BLAKE2b, in pieces.
class Hash {
 public:
  explicit Hash(std::size_t bytes) : bytes_(bytes) { crypto_generichash_init(&state_, nullptr, 0, bytes); }
  void add(std::span<const unsigned char> data) { crypto_generichash_update(&state_, data.data(), data.size()); }
  void add(const nlohmann::json& header) {
    const std::string text = header.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    add({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
  }
  std::string digits() {
    unsigned char out[kDigestBytes];
    crypto_generichash_final(&state_, out, bytes_);
    return wire::to_hex(out, bytes_);
  }

 private:
  crypto_generichash_state state_;
  std::size_t bytes_;
};

}  // namespace

std::string digest_of(const nlohmann::json& header, std::span<const unsigned char> data) {
  Hash hash(kDigestBytes);
  hash.add(header);
  hash.add(data);
  return hash.digits();
}

std::string digest_of(const Plan& plan) {
  nlohmann::json header = header_of(plan);
  // Names may change: models are renamed, and layers, too.
  header.erase("network");
  for (const char* list : {"tensors", "steps"})
    for (nlohmann::json& entry : header[list]) entry.erase("name");
  Hash hash(kDigestBytes);
  hash.add(header);
  for_each_list(plan, [&](const std::vector<double>& v) {
    hash.add({reinterpret_cast<const unsigned char*>(v.data()), v.size() * sizeof(double)});
  });
  return hash.digits();
}

std::string plan_id(const ClientSpec& spec) {
  nlohmann::json header = to_json(spec);
  header.erase("plan_id");
  header.erase("network");
  header["input"].erase("name");
  header["training"] = spec.training;
  Hash hash(kIdBytes);
  hash.add(header);
  return hash.digits();
}

std::string plan_id(const Plan& plan) { return plan_id(client_part(plan)); }

void set_signer(Plan& plan, const signing::VerificationKey& signer) {
  plan.signer = signer;
  plan.id = plan_id(plan);
}

}  // namespace sotto::plan
