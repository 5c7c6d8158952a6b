#pragma once

#include <cmath>
#include <random>

#include "circuit/interpret.h"
#include "ckks/encoder.h"
#include "plan/schedule.h"
#include "secret/crypt.h"
#include "support/places.h"
#include "support/toy_parameters.h"

namespace sotto::test {

/// Both sides of the protocol in one process over a toy ring, for tests.
class ToyClient {
 public:
  explicit ToyClient(const plan::Plan& p, const simd::Kernels& kernels = simd::select_kernels())
      : plan(p),
        parameters(ckks::ToyParameters::make(p.parameters)),
        ring(parameters.make_ring(kernels)),
        encoder(p.parameters.log_n, p.parameters.kind),
        key(owner.secret_of(ring)) {
    const secret::KeyGenerator generator(p.parameters.ciphertext_primes, key);
    for (const ckks::KeyId& id : p.keys.keys) {
      const ckks::KeyTier& tier = p.keys.tiers[id.tier];
      keys.keys.emplace(
          id, ckks::expand(*ring, p.parameters.ciphertext_primes, generator.switching_key({tier, id.galois_element})));
    }
  }

  /// images[b] in [c][h][w]; ciphertexts in the order phase * blocks + block.
  std::vector<ckks::PackedCiphertext> encrypt(const std::vector<std::vector<double>>& images) const {
    std::vector<ckks::PackedCiphertext> out;
    for (const ckks::Plaintext& m : messages(images))
      out.push_back(
          ckks::pack(*ring, ckks::expand(*ring, secret::encrypt_symmetric(key, m, ckks::random_seed(), out.size()))));
    return out;
  }
  /// The same by someone who has the public key only.
  std::vector<ckks::PackedCiphertext> encrypt_with_public_key(const std::vector<std::vector<double>>& images) const {
    const encrypt::PublicEncryption encryption(
        parameters, ring,
        secret::KeyGenerator(parameters.spec().ciphertext_primes, key).public_key(plan.input().level.limbs));
    std::vector<ckks::PackedCiphertext> out;
    for (const ckks::Plaintext& m : messages(images)) out.push_back(ckks::pack(*ring, encryption.encrypt(m)));
    return out;
  }

  std::vector<ckks::Plaintext> messages(const std::vector<std::vector<double>>& images) const {
    const plan::Layout& l = plan.input().layout;
    std::vector<ckks::Plaintext> out;
    for (int phase = 0; phase < l.phase_count(); ++phase) {
      for (int block = 0; block * l.group < l.channels; ++block) {
        std::vector<double> slots(encoder.slots());
        for (std::size_t b = 0; b < images.size(); ++b)
          for (int s = 0; s < l.group; ++s)
            for (int y = 0; y < l.height; ++y)
              for (int x = 0; x < l.width; ++x) {
                const int c = channel_of_place(l, block, s);
                const plan::Place place = plan::place_of(l, plan.tile, y, x);
                if (c >= 0 && place.phase == phase)
                  slots[slot_of(plan, static_cast<int>(b), s, place.position)] =
                      images[b][(static_cast<std::size_t>(c) * l.height + y) * l.width + x];
              }
        out.push_back(ckks::encode(*ring, encoder.embed_inverse(std::span<const double>(slots)), plan.input().scale,
                                   plan.input().level));
      }
    }
    return out;
  }

  std::vector<double> slots(const ckks::Ciphertext& c) const {
    const auto z = encoder.embed(secret::decrypt(key, c));
    std::vector<double> v;
    for (const auto& x : z) v.push_back(x.real() / c.scale);
    return v;
  }

  plan::Plan plan;
  ckks::Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  ckks::Encoder encoder;
  secret::OwnerKey owner = secret::OwnerKey::generate();
  secret::SecretKey key;
  ckks::KeyMap keys;
};

}  // namespace sotto::test
