#include "client/results.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/hex.h"
#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "client/close_scores.h"
#include "client/gaussian.h"
#include "client/probes.h"
#include "secret/crypt.h"

namespace sotto::client {

namespace {

void flood(Scores& scores, double deviation) {
  const auto word = [] {
    std::uint64_t bits = 0;
    randombytes_buf(&bits, sizeof bits);
    return bits;
  };
  for (auto& row : scores)
    for (double& s : row) {
      const std::uint64_t a = word(), b = word();
      s += deviation * gaussian_of(a, b);
    }
}

std::string digest_of(const ckks::Ciphertext& c, std::size_t n) {
  crypto_generichash_state state;
  unsigned char hash[16];
  crypto_generichash_init(&state, nullptr, 0, sizeof hash);
  for (const ring::RnsPoly* poly : {&c.c0, &c.c1})
    for (const ring::Limb& limb : *poly)
      if (limb)
        crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(limb.data()),
                                  n * sizeof(std::uint64_t));
  crypto_generichash_final(&state, hash, sizeof hash);
  return to_hex(hash);
}

// One batch of an output file.
class Batch {
 public:
  Batch(const plan::ClientSpec& spec, const Keys& keys, const ckks::Encoder& encoder, std::size_t images)
      : spec_(spec),
        keys_(keys),
        encoder_(encoder),
        answer_(spec),
        scores_(images, std::vector<double>(static_cast<std::size_t>(spec.io.outputs))),
        doubts_(images, Doubt::none),
        range_(images) {}

  [[nodiscard]] std::size_t blocks() const { return answer_.blocks(); }
  [[nodiscard]] const Scores& scores() const { return scores_; }
  [[nodiscard]] const std::vector<Doubt>& doubts() const { return doubts_; }

  // Ciphertext `within` of the batch.
  void add(std::size_t within, const ckks::Ciphertext& c) {
    const auto coefficients = secret::try_decrypt(keys_.secret, c, plan::kMostOfModulus);
    if (!coefficients) {
      spoiled_ = true;
      lost_ += spec_.watch.probes.empty() || within == blocks();
      return;
    }
    const auto slots = encoder_.embed(*coefficients);
    if (within < blocks())
      add_scores(within, slots, c.scale);
    else
      add_probe(answer_, spec_.watch.probes[within - blocks()], slots, c.scale, range_);
  }

  // Whether it belongs to another key, whatever its file says: no image makes the sum of the inputs outgrow its
  // modulus. Without probes: whether no score decrypts.
  [[nodiscard]] bool foreign() const { return lost_ == (spec_.watch.probes.empty() ? blocks() : 1); }

  // To be called when all ciphertexts are there.
  void judge() {
    for (std::size_t i = 0; i < scores_.size(); ++i) {
      double largest = 0;
      for (double s : scores_[i]) largest = std::max(largest, std::abs(s));
      const double surprise = spec_.watch.score_bound > 0 ? largest / spec_.watch.score_bound : 0;
      if (surprise > 1) mark(i, Doubt::score, surprise);
      if (range_[i] > 1) mark(i, Doubt::range, range_[i]);
      spoiled_ = spoiled_ || range_[i] > kSpoils;
    }
    if (foreign())
      lose(Doubt::damaged);
    else if (spoiled_)
      lose(Doubt::spoiled);
  }

  // No scores at all. Images that are known to be the cause keep their mark.
  void lose(Doubt why) {
    for (std::size_t i = 0; i < scores_.size(); ++i) {
      if (doubts_[i] != Doubt::range || why == Doubt::damaged) doubts_[i] = why;
      std::fill(scores_[i].begin(), scores_[i].end(), std::numeric_limits<double>::quiet_NaN());
    }
  }

 private:
  using Slots = std::vector<std::complex<double>>;

  void add_scores(std::size_t block, const Slots& slots, double scale) {
    answer_.each_score(block, [&](std::size_t image, std::size_t c, std::size_t slot) {
      if (image < scores_.size()) scores_[image][c] = slots[slot].real() / scale;
    });
  }

  // Marks an image so many times beyond a bound, and those that it can reach.
  void mark(std::size_t image, Doubt why, double times) {
    doubts_[image] = std::max(doubts_[image], why);
    const std::size_t reach = reach_of(spec_, times);
    for (std::size_t i = 0; i < scores_.size(); ++i)
      if (apart(spec_, i, image) <= reach) doubts_[i] = std::max(doubts_[i], Doubt::neighbour);
  }

  const plan::ClientSpec& spec_;
  const Keys& keys_;
  const ckks::Encoder& encoder_;
  plan::AnswerSlots answer_;
  Scores scores_;
  std::vector<Doubt> doubts_;
  std::vector<double> range_;  // by image: the largest probe over its bound
  bool spoiled_ = false;
  std::size_t lost_ = 0;  // ciphertexts that show another key if all of them are lost
};

}  // namespace

Decrypted decrypt_scores(const plan::ClientSpec& spec, const Keys& keys, const Source& source,
                         const DecryptOptions& options, const ProgressFn& progress) {
  const ckks::CiphertextReader file(source, wire::Kind::output);
  const ckks::Encoder encoder(spec.parameters.log_n, spec.parameters.kind);
  const auto images = static_cast<std::size_t>(file.info().images), size = static_cast<std::size_t>(spec.batch);
  std::vector<ckks::CiphertextShape> probes;
  for (const plan::ProbeView& p : spec.watch.probes) probes.push_back({spec.parameters.whole(p.limbs), p.scale});
  file.expect(spec.plan_id, size, Batch(spec, keys, encoder, 0).blocks(), spec.output_level, spec.output_scale,
              *keys.ring, probes);
  if (file.info().key_id != keys.secret.id())
    throw Error(ErrorCode::wrong_key,
                source.name() + " was computed under another key; use the key that encrypted its input");
  require_origin(file, spec.signer, options.origin);
  if (options.origin.images && *options.origin.images != images)
    throw Error(ErrorCode::wrong_key,
                fmt::format("{} images were encrypted, {} holds results for {}: whoever computed them changed that",
                            *options.origin.images, source.name(), images));
  Decrypted result{.batch = size, .file = result_file_of(file)};
  const auto sections = static_cast<std::size_t>(file.info().sections_per_batch());
  const std::size_t batches = static_cast<std::size_t>(file.info().batches()), total = batches * sections;
  std::optional<Error> damage;
  std::size_t read = 0, foreign = 0;
  for (std::size_t b = 0; b < batches; ++b) {
    Batch batch(spec, keys, encoder, std::min(size, images - b * size));
    std::vector<std::string> digests;
    try {
      for (std::size_t k = 0; k < sections; ++k) {
        if (progress) progress(b * sections + k, total);
        const ckks::Ciphertext c = file.read(*keys.ring, b * sections + k);
        if (options.digests && k < batch.blocks()) digests.push_back(digest_of(c, keys.ring->n()));
        batch.add(k, c);
      }
      result.digests.insert(result.digests.end(), digests.begin(), digests.end());
      ++read;
      foreign += batch.foreign();
      batch.judge();
    } catch (const Error& e) {
      if (e.code() != ErrorCode::bad_input) throw;
      if (!damage) damage = e;
      batch.lose(Doubt::damaged);
      if (options.digests) result.digests.push_back(fmt::format("lost {} of {}", b, to_hex(file.digest())));
    }
    result.scores.insert(result.scores.end(), batch.scores().begin(), batch.scores().end());
    result.doubts.insert(result.doubts.end(), batch.doubts().begin(), batch.doubts().end());
  }
  if (read == 0) throw *damage;
  if (foreign == read)
    throw Error(ErrorCode::wrong_key, source.name() +
                                          " does not decrypt: it was computed under another key than it says, or with "
                                          "damaged keys or images; encrypt and run it again");
  mark_close_scores(spec.watch, result.scores, result.doubts);
  if (options.flood > 0) flood(result.scores, options.flood);
  if (progress) progress(total, total);
  return result;
}

}  // namespace sotto::client
