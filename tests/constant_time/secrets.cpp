// Runs what touches secrets on a toy ring, with every secret marked as undefined for Valgrind's memcheck, which then
// reports every branch and every address that depends on one (ctgrind; Adam Langley, 2010). `secrets PART`: see kParts.
#include <sodium.h>
#include <sys/random.h>
#include <valgrind/memcheck.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "base/error.h"
#include "ckks/encoder.h"
#include "ckks/sampler.h"
#include "encrypt/public_key.h"
#include "secret/crypt.h"
#include "secret/keygen.h"
#include "support/toy_parameters.h"

namespace sotto {
namespace {

constexpr int kPrimes = 3;
bool secret_randomness = false;

void fill(void* to, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t got = ::getrandom(static_cast<char*>(to) + done, bytes - done, 0);
    check(got > 0, "no randomness");
    done += static_cast<std::size_t>(got);
  }
  // Draws of the size of a seed are public ones, or an owner's key, which is marked below.
  if (secret_randomness && bytes != sizeof(ckks::Seed)) (void)VALGRIND_MAKE_MEM_UNDEFINED(to, bytes);
}

// What libsodium draws from, from here on: secrets, as far as memcheck is concerned.
void make_randomness_secret() {
  static randombytes_implementation ours{.implementation_name = [] { return "marked"; },
                                         .random =
                                             [] {
                                               std::uint32_t word = 0;
                                               fill(&word, sizeof word);
                                               return word;
                                             },
                                         .stir = nullptr,
                                         .uniform = nullptr,
                                         .buf = fill,
                                         .close = nullptr};
  randombytes_set_implementation(&ours);
  check(sodium_init() >= 0, "libsodium does not start");
  secret_randomness = true;
}

// A result that depends on a secret must show it, or the marks were lost on the way and nothing was tested.
void require_marked(const ring::Limb& limb) {
  std::uint64_t unknown = 0;
  check(VALGRIND_GET_VBITS(limb.data(), &unknown, sizeof unknown) == 1, "this runs under Valgrind only");
  check(unknown != 0, "no secret reached the result");
}

struct Toy {
  ckks::ParametersSpec spec{
      .log_n = 8, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = kPrimes, .special_primes = 2};
  ckks::Parameters parameters = ckks::ToyParameters::make(spec);
  std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());

  // A fresh secret, derived from marked bytes.
  [[nodiscard]] secret::SecretKey secret() const {
    const secret::OwnerKey owner = secret::OwnerKey::generate();
    (void)VALGRIND_MAKE_MEM_UNDEFINED(owner.bytes().data(), secret::OwnerKey::kBytes);
    return owner.secret_of(ring);
  }
  // Secret, too: what the images become.
  [[nodiscard]] ckks::Plaintext message() const {
    ckks::Plaintext p = ckks::encode(*ring, std::vector<double>(ring->n(), 0.5), 0x1p30, kPrimes);
    for (ring::Limb& limb : p.poly) (void)VALGRIND_MAKE_MEM_UNDEFINED(limb.data(), ring->n() * sizeof(std::uint64_t));
    return p;
  }
};

void make_keys(const Toy& toy) {
  const secret::SecretKey key = toy.secret();
  const secret::KeyGenerator generator(kPrimes, key);
  for (const std::uint64_t element : {ckks::kRelinearise, ckks::kFromEphemeral, toy.ring->rotation_galois_element(3)})
    require_marked(generator.switching_key({{kPrimes, 2}, element}).b[0][0]);
  require_marked(generator.switching_key({{1, 1, true}, ckks::kToEphemeral}).b[0][0]);
  require_marked(generator.public_key(kPrimes - 1).b[0]);
}

void encrypt(const Toy& toy) {
  require_marked(secret::encrypt_symmetric(toy.secret(), toy.message(), ckks::random_seed(), 0).c0[0]);
}

void encrypt_for_owner(const Toy& toy) {
  const secret::SecretKey key = toy.secret();
  encrypt::PublicKey made = secret::KeyGenerator(kPrimes, key).public_key(kPrimes);
  for (ring::Limb& limb : made.b) (void)VALGRIND_MAKE_MEM_DEFINED(limb.data(), toy.ring->n() * sizeof(std::uint64_t));
  require_marked(encrypt::PublicEncryption(toy.parameters, toy.ring, std::move(made)).encrypt(toy.message()).c0[0]);
}

void decrypt(const Toy& toy) {
  const secret::SecretKey key = toy.secret();
  ckks::Ciphertext c;
  for (int l = 0; l < 2; ++l) {  // random: what it decrypts to does not matter
    c.c0.push_back(toy.ring->limb());
    c.c1.push_back(toy.ring->limb());
    ckks::expand_uniform(*toy.ring, ckks::Seed{}, 0, static_cast<std::size_t>(l), c.c0.back().data());
    ckks::expand_uniform(*toy.ring, ckks::Seed{}, 1, static_cast<std::size_t>(l), c.c1.back().data());
  }
  (void)secret::try_decrypt(key, c);
}

// Not constant time, and must be found.
void control(const Toy& toy) {
  const secret::SecretKey key = toy.secret();
  if (key.values(0)[0] == 0) std::puts("zero");
}

const std::map<std::string, std::function<void(const Toy&)>> kParts = {{"keys", make_keys},
                                                                       {"encryption", encrypt},
                                                                       {"public-encryption", encrypt_for_owner},
                                                                       {"decryption", decrypt},
                                                                       {"control", control}};

}  // namespace
}  // namespace sotto

int main(int argc, char** argv) {
  const auto part = sotto::kParts.find(argc == 2 ? argv[1] : "");
  if (part == sotto::kParts.end() || RUNNING_ON_VALGRIND == 0) {
    std::fputs("usage: valgrind secrets keys|encryption|public-encryption|decryption|control\n", stderr);
    return 2;
  }
  sotto::make_randomness_secret();
  part->second(sotto::Toy());
  return 0;
}
