// Plans, descriptions, keys and ciphertexts.
#include <algorithm>

#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "client/key_files.h"
#include "encrypt/public_key_file.h"
#include "fuzz/container_input.h"
#include "fuzz/toy_ring.h"
#include "lowering/plan_file.h"
#include "plan/identity.h"
#include "plan/plan_file.h"
#include "plan/schedule.h"
#include "plan/serial_form.h"
#include "plan/verify.h"
#include "wire/signing_key_file.h"

namespace sotto::fuzz {

namespace {

using wire::Kind;

// What an attacker can do, too: gives the file the identity that its contents have.
template <class F>
void set_identity(nlohmann::json& header, const char* name, F&& id) {
  try {
    header[name] = id();
  } catch (const Error&) {  // the reader will say the same
  }
}

bool read_ciphertexts(Input input, Kind kind) {
  const ToyRing& toy = ToyRing::shared();
  ContainerInput in(input);
  const test::Bytes file = in.file(kind);
  return accepts([&] {
    const ckks::CiphertextReader reader(Source(file), kind);
    const ckks::CiphertextFileInfo& info = reader.info();
    const auto suits = [&](const ckks::CiphertextShape& s) { return s.level.limbs <= toy.spec.ciphertext_primes; };
    if (!suits({info.level, 1}) || !std::ranges::all_of(info.probes, suits) || !std::ranges::all_of(info.lead, suits))
      return;  // no plan of this ring expects them
    reader.expect(info.plan_id, info.batch, info.per_batch, info.level, info.scale, *toy.ring, info.probes, info.lead);
    for (std::uint64_t k = 0; k < info.sections(); ++k) {
      const ckks::Ciphertext c = reader.read(*toy.ring, k);
      for (auto l = static_cast<std::size_t>(c.level().absent); l < c.c0.size(); ++l)
        for (const ring::Limb* limb : {&c.c0[l], &c.c1[l]})
          require(
              std::all_of(limb->data(), limb->data() + toy.ring->n(), [&](auto w) { return w < toy.ring->prime(l); }),
              "a word that is no residue");
    }
  });
}

}  // namespace

bool read_any_container(Input input) {
  bool accepted = false;
  for (std::uint32_t kind = 1; kind <= static_cast<std::uint32_t>(Kind::signing_key); ++kind)
    accepted |= accepts([&] {
      const wire::FileReader file(Source(test::Bytes(input.begin(), input.end())), static_cast<Kind>(kind));
      for (std::size_t i = 0; i < file.sections(); ++i) {
        test::Bytes section(file.section_bytes(i));
        file.read(i, section);
      }
    });
  return accepted;
}

bool read_plan(Input input) {
  ContainerInput in(input);
  if (!in.header.is_discarded() && in.data.size() % sizeof(double) == 0)
    set_identity(in.header, "plan_id", [&] {
      std::vector<double> values(in.data.size() / sizeof(double));
      std::copy(in.data.begin(), in.data.end(), reinterpret_cast<unsigned char*>(values.data()));
      plan::Plan plan = plan::plan_of(in.header, std::move(values));
      plan.id = std::string(32, '0');
      plan::verify(plan);
      return plan::plan_id(plan);
    });
  const test::Bytes file = in.file(Kind::plan);
  return accepts([&] {
    const plan::Plan plan = plan::read_plan(Source(file));
    (void)plan::make_schedule(plan);
    Bytes again;
    plan::write_plan(Sink(again), plan);
    require(plan::read_plan(Source(again)).id == plan.id, "a plan that comes back as another");
  });
}

bool read_client(Input input) {
  ContainerInput in(input);
  if (!in.header.is_discarded())
    set_identity(in.header, "plan_id", [&] { return plan::plan_id(plan::client_of(in.header)); });
  const test::Bytes file = in.file(Kind::client);
  return accepts([&] {
    const plan::ClientSpec spec = plan::read_client(Source(file));
    Bytes again;
    plan::write_client(Sink(again), spec);
    require(plan::read_client(Source(again)).plan_id == spec.plan_id, "a description that comes back as another");
  });
}

bool read_training_plan(Input input) {
  ContainerInput in(input);
  const test::Bytes file = in.file(Kind::client);
  return accepts([&] { (void)lowering::read_training_plan(Source(file), Kind::client); });
}

bool read_secret_key(Input input) {
  static const test::TempFolder folder;
  ContainerInput in(input);
  if (!in.header.is_discarded() && in.data.size() == secret::OwnerKey::kBytes)
    set_identity(in.header, "key_id", [&] {
      SecretArray<unsigned char> bytes(secret::OwnerKey::kBytes);
      std::ranges::copy(in.data, bytes.data());
      return secret::OwnerKey(bytes).id();
    });
  test::write_bytes(folder / "secret.key", in.file(Kind::secret_key));
  return accepts([&] { (void)client::read_owner_key(folder / "secret.key"); });
}

bool read_signing_key(Input input) {
  static const test::TempFolder folder;
  ContainerInput in(input);
  test::write_bytes(folder / "signing.key", in.file(Kind::signing_key));
  return accepts([&] { (void)wire::read_signing_key(folder / "signing.key"); });
}

bool read_public_key(Input input) {
  const ToyRing& toy = ToyRing::shared();
  ContainerInput in(input);
  const test::Bytes file = in.file(Kind::public_key);
  return accepts([&] { (void)encrypt::PublicKeyFile(Source(file)).read(*toy.ring, toy.spec, 2); });
}

bool read_eval_key(Input input) {
  const ToyRing& toy = ToyRing::shared();
  ContainerInput in(input);
  const test::Bytes file = in.file(Kind::eval_key);
  return accepts([&] {
    ckks::KeyFile keys(Source(file), toy.ring, toy.spec, toy.request);
    for (const ckks::KeyId& id : toy.request.keys) (void)keys.key(id);
  });
}

bool read_encrypted_input(Input input) { return read_ciphertexts(input, Kind::input); }
bool read_encrypted_output(Input input) { return read_ciphertexts(input, Kind::output); }

}  // namespace sotto::fuzz
