#include "client/publish.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "client/gaussian.h"
#include "client/releases.h"
#include "wire/atomic_file.h"

namespace sotto::client {

namespace {

// Normal values that one key and one text give every time.
class NoiseStream {
 public:
  explicit NoiseStream(SecretArray<unsigned char> seed) : seed_(std::move(seed)), words_(kWords) {}

  double next() {
    if (used_ == kWords) refill();
    const double value = gaussian_of(words_[used_], words_[used_ + 1]);
    used_ += 2;
    return value;
  }

 private:
  static constexpr std::size_t kWords = 512, kBlocks = kWords * sizeof(std::uint64_t) / 64;

  void refill() {
    static constexpr unsigned char kNonce[crypto_stream_xchacha20_NONCEBYTES] = "Sotto noise";
    auto* bytes = reinterpret_cast<unsigned char*>(words_.data());
    sodium_memzero(bytes, kBlocks * 64);
    crypto_stream_xchacha20_xor_ic(bytes, bytes, kBlocks * 64, kNonce, block_, seed_.data());
    block_ += kBlocks;
    used_ = 0;
  }

  SecretArray<unsigned char> seed_;
  SecretArray<std::uint64_t> words_;
  std::size_t used_ = kWords;
  std::uint64_t block_ = 0;
};

double second_best(const std::vector<double>& scores, int best) {
  double second = -HUGE_VAL;
  for (std::size_t c = 0; c < scores.size(); ++c)
    if (static_cast<int>(c) != best) second = std::max(second, scores[c]);
  return second;
}

// Whether nothing is known against the scores of an image. That two of them lie close is no matter here: margins see to
// that.
bool sound(Doubt doubt, const std::vector<double>& scores) {
  return doubt <= Doubt::error && std::ranges::all_of(scores, [](double s) { return std::isfinite(s); });
}

void flood(Publication& p, Scores scores, NoiseStream& noise) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    std::vector<double>& row = scores[i];
    const bool keep = sound(p.doubts[i], row);
    for (double& s : row) {
      const double z = p.noise.deviation * noise.next();
      s = keep ? p.noise.step * std::round((s + z) / p.noise.step) : std::numeric_limits<double>::quiet_NaN();
    }
    const int best = argmax(row);
    const auto leads = [&] {
      return row.size() > 1 && row[static_cast<std::size_t>(best)] - second_best(row, best) > p.noise.margin;
    };
    p.labels.push_back(best >= 0 && leads() ? best : -1);
  }
  p.scores = std::move(scores);
}

void decide(Publication& p, const Scores& scores, NoiseStream& noise) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::vector<double>& row = scores[i];
    const bool keep = sound(p.doubts[i], row);
    const int best = argmax(row);
    const double second = best < 0 ? 0 : second_best(row, best);
    int label = -1, leading = 0;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const double z = p.noise.deviation * noise.next();
      if (!keep) continue;
      const double others = static_cast<int>(c) == best ? second : row[static_cast<std::size_t>(best)];
      if (row[c] - others + z <= p.noise.margin) continue;
      label = static_cast<int>(c);
      ++leading;
    }
    p.labels.push_back(leading == 1 ? label : -1);
  }
}

}  // namespace

const char* name_of(Published what) { return what == Published::labels ? "labels" : "scores"; }

std::size_t Publication::withheld() const {
  const auto lost = [](const std::vector<double>& row) { return std::isnan(row.front()); };
  return static_cast<std::size_t>(scores.empty() ? std::ranges::count(labels, -1)
                                                 : std::ranges::count_if(scores, lost));
}

Publication publish_results(const plan::ClientSpec& spec, const secret::OwnerKey& owner, const Keys& keys,
                            const std::filesystem::path& dir, const Source& source, const PublishOptions& options,
                            const ProgressFn& progress) {
  const auto classes = static_cast<std::size_t>(spec.io.outputs);
  const bool labels = options.what == Published::labels;
  if (labels && classes < 2)
    throw Error(ErrorCode::usage, spec.network + " has a single score and no labels; publish scores");
  const double error = std::max(spec.watch.score_error, spec.watch.faint_error);
  constexpr double kMostError = 1e30;  // of a plan that anyone made
  if (!(error > 0 && error < kMostError))
    throw Error(ErrorCode::bad_input,
                "the plan of " + spec.network + " does not say how much its scores err; compile it again");
  const Target& target = options.target;
  std::size_t all = 1;
  const ProgressFn decrypting = [&](std::size_t done, std::size_t total) {
    all = total;
    if (progress) progress(done, total);
  };
  const Decrypted decrypted =
      decrypt_scores(spec, keys, source, {.digests = true, .origin = options.origin}, decrypting);
  Publication out;
  out.noise = (labels ? noise_of_labels : noise_of_scores)(error, decrypted.scores.size(), classes, target);
  const Release release{owner.id(),        name_of(options.what), out.noise.text, spec.plan_id, decrypted.scores.size(),
                        decrypted.digests, out.noise.divergence};
  const Remembered remembered = remember_release(dir, release, target, [&] { decrypting(all - 1, all); });
  out.key_bits = key_bits(remembered.together, target.security_bits);
  out.statistical_bits = statistical_bits(remembered.together);
  out.again = remembered.again;
  out.doubts = decrypted.doubts;
  out.batch = decrypted.batch;
  out.file = decrypted.file;
  NoiseStream noise(owner.derive("release", release.id()));
  if (labels)
    decide(out, decrypted.scores, noise);
  else
    flood(out, decrypted.scores, noise);
  return out;
}

void write_published_csv(const std::filesystem::path& path, const Publication& p, const plan::Interface& io) {
  const std::string how =
      fmt::format("{},{:.4g},{:.1f},{:.1f}", p.noise.text, p.noise.margin, p.key_bits, p.statistical_bits);
  std::string out = "index,label,class,noise_deviation,margin,key_bits,statistical_bits\n";
  for (std::size_t i = 0; i < p.labels.size(); ++i)
    out += fmt::format("{},{},{},{}\n", i, p.labels[i] < 0 ? "" : std::to_string(p.labels[i]),
                       csv_field(class_name(io, p.labels[i])), how);
  wire::write_file(path, out);
}

}  // namespace sotto::client
