#include "cli/publish.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "cli/console.h"
#include "cli/require_known.h"
#include "cli/verbs.h"
#include "client/key_files.h"
#include "client/publish.h"
#include "plan/plan_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

namespace {

CLI::Validator finite_number() {
  return {[](const std::string& v) { return std::isfinite(std::stod(v)) ? "" : "not a number"; }, ""};
}

std::string bits(double value) { return value > 0 ? fmt::format("{:.1f} bits", value) : "none"; }

void print_publication(const client::Publication& p, client::Published what, const plan::Interface& io) {
  constexpr std::size_t kShown = 20;
  fmt::print("{:>6}  {}\n", "image", "label");
  for (std::size_t i = 0; i < std::min(p.labels.size(), kShown); ++i)
    fmt::print("{:>6}  {}\n", i, p.labels[i] < 0 ? "withheld" : client::class_name(io, p.labels[i]));
  if (p.labels.size() > kShown) fmt::print("   ...  {} more; --csv writes them all\n", p.labels.size() - kShown);
  fmt::print("{} of {} labels lead by more than {:.4g}, with noise of deviation {}; the others are withheld\n",
             std::ranges::count_if(p.labels, [](int label) { return label >= 0; }), p.labels.size(), p.noise.margin,
             p.noise.text);
  if (what == client::Published::scores)
    fmt::print("scores of {} of {} images have noise of that deviation and are rounded to multiples of {:.4g}\n",
               p.labels.size() - p.withheld(), p.labels.size(), p.noise.step);
  fmt::print(
      "with all that was published under this key, recovering it costs {:.1f} bits; statistical security: {}{}\n",
      p.key_bits, bits(p.statistical_bits), p.again ? "; published before, the same again" : "");
}

}  // namespace

void add_publish_options(CLI::App& verb, PublishOptions& options) {
  auto* what =
      verb.add_option("--publish", options.what,
                      "Write only what may be given away, with noise that hides the errors of encryption, and remember "
                      "it beside the keys: labels, or flooded scores (SECURITY.md)")
          ->check(CLI::IsMember({"labels", "scores"}));
  auto* key = verb.add_option("--key-bits", options.key_bits,
                              "Bits that recovering the key must still cost, with all that is published under it")
                  ->capture_default_str()
                  ->check(CLI::Range(1.0, 256.0))
                  ->check(finite_number())
                  ->needs(what);
  verb.add_option("--statistical-bits", options.statistical_bits,
                  "Instead: bits of statistical security, which takes far more noise (30 is usual)")
      ->check(CLI::Range(1.0, 128.0))
      ->check(finite_number())
      ->needs(what)
      ->excludes(key);
  verb.add_option("--releases", options.releases, "Results like these that are to be published under this key")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000))
      ->needs(what);
}

int publish(const PublishRequest& r, const PublishOptions& o, const std::filesystem::path& dir, StepReport& report) {
  const client::Published what = o.what == "scores" ? client::Published::scores : client::Published::labels;
  if (what == client::Published::labels && !r.npy.empty())
    throw Error(ErrorCode::usage, "--publish labels writes no scores: name a --csv, or --publish scores");
  const bool streamed = wire::require_outputs(std::array{r.npy}, std::array{r.csv, report.path()});
  const plan::ClientSpec spec = plan::read_client(r.client);
  require_known(r.keys, r.client, spec.plan_id);
  const secret::OwnerKey owner = client::read_owner_key(r.keys);
  const client::Keys keys = client::keys_of(owner, ckks::Parameters::create(spec.parameters));
  client::Target target{
      .key_bits = o.key_bits, .releases = o.releases, .security_bits = keys.parameters.security_bits()};
  if (o.statistical_bits > 0) target.statistical_bits = o.statistical_bits;
  const client::Origin origin = expected_origin(r.origin, r.in, r.keys, keys.secret.id());
  ProgressLine line("decryption");
  const client::Publication p =
      client::publish_results(spec, owner, keys, dir, r.in, {what, target, origin},
                              [&](std::size_t done, std::size_t total) { line.update(done, total); });
  report.add_lap("decrypt_seconds");
  if (!r.npy.empty()) client::write_npy(r.npy, p.scores);
  if (!r.csv.empty()) client::write_published_csv(r.csv, p, spec.io);
  report.add_lap("write_seconds");
  note_origin(r.keys, keys.secret.id(), p.file, report);
  report.add("images", p.labels.size());
  report.add("published", o.what);
  report.add("withheld", p.withheld());
  report.add("noise_deviation", p.noise.deviation);
  report.add("margin", p.noise.margin);
  report.add("step", p.noise.step);
  report.add("key_bits", p.key_bits);
  report.add("statistical_bits", p.statistical_bits);
  report.add("again", p.again);
  report.write();
  if (!streamed) print_publication(p, what, spec.io);
  const std::string doubts = client::summary_of(p.doubts, p.batch);
  if (doubts.empty()) return 0;
  print_error("sotto: " + doubts + "\n");
  return r.strict ? kDoubtful : 0;
}

}  // namespace sotto::cli
