#include "plan/identity.h"

#include <sodium.h>

#include <string_view>

#include "base/hex.h"
#include "plan/serial_form.h"

namespace sotto::plan {

namespace {

constexpr std::size_t kDigestBytes = 32, kIdBytes = 16;

// BLAKE2b, in pieces.
class Hash {
 public:
  explicit Hash(std::size_t bytes, std::string_view key = {}) : bytes_(bytes) {
    crypto_generichash_init(&state_, reinterpret_cast<const unsigned char*>(key.data()), key.size(), bytes);
  }
  void add(std::span<const unsigned char> data) { crypto_generichash_update(&state_, data.data(), data.size()); }
  void add(const nlohmann::json& header) {
    const std::string text = header.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    add({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
  }
  void finish(unsigned char* out) { crypto_generichash_final(&state_, out, bytes_); }
  std::string digits() {
    unsigned char out[kDigestBytes];
    finish(out);
    return to_hex({out, bytes_});
  }

 private:
  crypto_generichash_state state_;
  std::size_t bytes_;
};

void add_plan(Hash& hash, const Plan& plan) {
  nlohmann::json header = header_of(plan);
  // Names may change: models are renamed, and layers, too.
  header.erase("network");
  for (const char* list : {"tensors", "steps"})
    for (nlohmann::json& entry : header[list]) entry.erase("name");
  hash.add(header);
  for_each_list(plan, [&](const std::vector<double>& v) {
    hash.add({reinterpret_cast<const unsigned char*>(v.data()), v.size() * sizeof(double)});
  });
}

}  // namespace

std::string digest_of(const nlohmann::json& header, std::span<const unsigned char> data) {
  Hash hash(kDigestBytes);
  hash.add(header);
  hash.add(data);
  return hash.digits();
}

PlanKey key_of(const Plan& plan) {
  PlanKey key;
  Hash hash(key.size(), "key of a plan");
  add_plan(hash, plan);
  hash.finish(key.data());
  return key;
}

std::string digest_of(const Plan& plan) {
  Hash hash(kDigestBytes);
  add_plan(hash, plan);
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
