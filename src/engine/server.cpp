#include "engine/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/text.h"
#include "ckks/ciphertext_file.h"
#include "encrypt/public_key_file.h"
#include "engine/signatures.h"
#include "plan/parallelism.h"
#include "runtime/slot_masks.h"

namespace sotto::engine {

namespace fs = std::filesystem;

namespace {

int threads_of(const ServerOptions& o) { return o.threads > 0 ? o.threads : available_threads(); }

// Seconds that pass until it is destroyed, added to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& sum_;
  std::chrono::steady_clock::time_point start_;
};

std::string bytes(std::uint64_t n) { return format_bytes(static_cast<double>(n)); }

}  // namespace

Server::Server(plan::Plan plan, ServerOptions options)
    : plan_(std::move(plan)),
      options_(std::move(options)),
      parameters_(ckks::Parameters::create(plan_.parameters)),
      cost_(plan::estimate(plan_, threads_of(options_), options_.memory)) {
  require_signing_key(plan_.signer, options_.signer.get());
  if (options_.memory != 0 && cost_.least_bytes > options_.memory)
    throw Error(
        ErrorCode::no_resources,
        fmt::format("this plan needs about {} at least, the limit is {}; compile with a smaller batch or raise it",
                    bytes(cost_.least_bytes), bytes(options_.memory)),
        Setting::memory);
  const std::uint64_t available = available_memory();
  if (available != 0 && cost_.peak_bytes > available)
    throw Error(ErrorCode::no_resources,
                fmt::format("this plan needs about {}, the machine has {} free; compile with a smaller batch or set a "
                            "limit of memory",
                            bytes(cost_.peak_bytes), bytes(available)),
                Setting::memory);
  ring_ = parameters_.make_ring(simd::select_kernels(), options_.memory);
}

std::unique_ptr<ckks::KeyFile> Server::open_keys(const Source& source) const {
  return std::make_unique<ckks::KeyFile>(source, ring_, plan_.parameters, plan_.keys);
}

const runtime::Model& Server::model() {
  if (!model_) model_.emplace(plan_, parameters_, ring_);
  return *model_;
}

// One input on its way to its output.
class Server::Inference {
 public:
  Inference(Server& server, const Source& input, ckks::KeyFile& keys, Sink output, const InferenceHooks& hooks,
            const std::optional<Source>& public_key);
  InferenceReport run();

 private:
  using Images = std::vector<ckks::PackedCiphertext>;

  void renew_with(const Source& public_key);
  [[nodiscard]] ckks::CiphertextFileInfo output_info() const;
  [[nodiscard]] std::uint64_t batches_at_once() const;
  [[nodiscard]] fs::path scratch() const;
  void check_stop() const;
  void show(std::uint64_t batch, double part, const std::string& what);
  [[nodiscard]] Images read_batch(std::uint64_t batch);
  [[nodiscard]] std::vector<ckks::Ciphertext> run_batch(std::uint64_t batch, Images images);
  void run_batches(std::uint64_t first, std::uint64_t count, ckks::CiphertextWriter& to);

  Server& server_;
  const plan::Plan& plan_;
  const plan::Cost& cost_;
  ckks::KeyFile& keys_;
  Sink output_;
  const InferenceHooks& hooks_;
  InferenceReport report_;
  ckks::CiphertextReader input_;
  std::uint64_t room_;      // bytes
  bool keep_keys_ = false;  // from batch to batch
  std::mutex mutex_;        // of the report and `done_`; never held over a parallel loop
  std::vector<double> done_;
  std::optional<runtime::SlotMasks> masks_;            // made when input and keys are verified
  std::optional<encrypt::PublicEncryption> renewing_;  // if answers are encrypted anew
};

Server::Inference::Inference(Server& server, const Source& input, ckks::KeyFile& keys, Sink output,
                             const InferenceHooks& hooks, const std::optional<Source>& public_key)
    : server_(server),
      plan_(server.plan_),
      cost_(server.cost_),
      keys_(keys),
      output_(std::move(output)),
      hooks_(hooks),
      input_(input, wire::Kind::input),
      room_(server.options_.memory != 0 ? server.options_.memory : available_memory()) {
  const Stopwatch reading(report_.read_seconds);
  input_.expect(plan_.id, static_cast<std::uint64_t>(plan_.batch),
                static_cast<std::uint64_t>(plan_.input().layout.ciphertexts()), plan_.input().level,
                plan_.input().scale, *server.ring_);
  if (keys.key_id() != input_.info().key_id)
    throw Error(ErrorCode::wrong_key, input.name() + " was encrypted under another key than that of " + keys.name() +
                                          "; use the evaluation keys made with it");
  require_owner(input_, server.options_.owners_only);
  input_.verify([&] { check_stop(); });
  keys.verify([&] { check_stop(); });
  masks_.emplace(plan_, *server.ring_, runtime::mask_seed(plan_, input_.digest(), keys.digest()));
  if (public_key) renew_with(*public_key);
  report_.images = input_.info().images;
  report_.batches = input_.info().batches();
  done_.resize(report_.batches);
  // Keys stay in memory from batch to batch if there is room for those of all levels.
  keep_keys_ = (report_.batches > 1 || server.options_.keep_keys) && cost_.peak_bytes + cost_.all_keys_bytes <= room_;
  report_.batches_at_once = keep_keys_ ? batches_at_once() : 1;
  report_.predicted_peak_bytes = report_.batches_at_once * cost_.peak_bytes + (keep_keys_ ? cost_.all_keys_bytes : 0);
  report_.steps.resize(plan_.steps.size());
}

void Server::Inference::renew_with(const Source& public_key) {
  const encrypt::PublicKeyFile file(public_key);
  if (file.key_id() != keys_.key_id())
    throw Error(ErrorCode::wrong_key, file.name() + " is not of the owner of " + keys_.name());
  int limbs = plan_.output().level.limbs;
  for (const plan::Probe& p : plan_.probes) limbs = std::max(limbs, plan_.parameters.whole(p.limbs).limbs);
  renewing_.emplace(server_.parameters_, server_.ring_, file.read(*server_.ring_, plan_.parameters, limbs));
}

// Batches in flight: as many as keep all threads busy, by prediction, and as memory has room for beside the keys.
std::uint64_t Server::Inference::batches_at_once() const {
  if (cost_.residency || cost_.peak_bytes == 0) return 1;
  const int threads = threads_of(server_.options_);
  const double alone = plan::seconds_with(plan_, cost_, plan::kTypicalSpeed, 1),
               together = plan::seconds_with(plan_, cost_, plan::kTypicalSpeed, threads);
  const auto wanted = static_cast<std::uint64_t>(
      server_.options_.batches_at_once > 0 ? server_.options_.batches_at_once
                                           : std::max(1.0, together * plan::speed_up(threads) / alone + 0.25));
  const std::uint64_t fitting = room_ > cost_.all_keys_bytes ? (room_ - cost_.all_keys_bytes) / cost_.peak_bytes : 0;
  return std::clamp<std::uint64_t>(fitting, 1, wanted);
}

// Where values go that memory has no room for.
fs::path Server::Inference::scratch() const {
  if (!server_.options_.scratch.empty()) return server_.options_.scratch;
  return output_.path() != nullptr ? fs::absolute(*output_.path()).parent_path() : fs::temp_directory_path();
}

ckks::CiphertextFileInfo Server::Inference::output_info() const {
  ckks::CiphertextFileInfo info = input_.info();
  info.input_digest = input_.digest();
  info.input_signer = input_.signer();
  info.per_batch = static_cast<std::uint64_t>(plan_.output().layout.ciphertexts());
  info.level = plan_.output().level;
  info.scale = plan_.output().scale;
  for (const plan::Probe& p : plan_.probes)
    info.probes.push_back({plan_.parameters.whole(p.limbs), plan_.tensors[static_cast<std::size_t>(p.tensor)].scale});
  return info;
}

void Server::Inference::check_stop() const {
  if (hooks_.stop != nullptr && *hooks_.stop) throw Error(ErrorCode::interrupted, "interrupted; no output was written");
}

void Server::Inference::show(std::uint64_t batch, double part, const std::string& what) {
  if (!hooks_.progress) return;
  const std::scoped_lock lock(mutex_);
  done_[batch] = part;
  const auto left = static_cast<double>(report_.batches - report_.batches_of_an_earlier_run);
  hooks_.progress({std::accumulate(done_.begin(), done_.end(), 0.0) / left, batch, report_.batches, what});
}

Server::Inference::Images Server::Inference::read_batch(std::uint64_t batch) {
  Images images;
  const std::uint64_t count = input_.info().per_batch;
  for (std::uint64_t k = 0; k < count; ++k) {
    show(batch, 0, "reading the input");
    images.push_back(ckks::pack(*server_.ring_, input_.read(*server_.ring_, batch * count + k)));
  }
  return images;
}

std::vector<ckks::Ciphertext> Server::Inference::run_batch(std::uint64_t batch, Images images) {
  runtime::RunOptions options;
  options.progress = [&](const runtime::Progress& p) {
    show(batch, p.done, plan_.steps[static_cast<std::size_t>(p.step)].name);
  };
  options.stop = hooks_.stop;
  options.residency = cost_.residency;
  options.scratch = scratch();
  const bool last = report_.batches_at_once == 1 && batch + 1 == report_.batches && !server_.options_.keep_keys;
  if (!keep_keys_ || last) options.key_done = [&](const ckks::KeyId& id) { keys_.drop(id); };
  runtime::BatchRun run(server_.model(), keys_, std::move(options));
  auto results = run.execute(std::move(images));
  for (ckks::Ciphertext& p : run.take_probes()) results.push_back(std::move(p));
  masks_->hide(results, batch);
  if (renewing_)
    for (ckks::Ciphertext& c : results) c = renewing_->renew(c);
  const std::scoped_lock lock(mutex_);
  for (std::size_t s = 0; s < report_.steps.size(); ++s) report_.steps[s] += run.times()[s];
  return results;
}

// Results are written in order; an interruption keeps those of the batches before.
void Server::Inference::run_batches(std::uint64_t first, std::uint64_t count, ckks::CiphertextWriter& to) {
  std::vector<Images> images(count);
  {
    const Stopwatch reading(report_.read_seconds);
    parallel_for(count, [&](std::size_t k) { images[k] = read_batch(first + k); });
  }
  std::vector<std::vector<ckks::Ciphertext>> results(count);
  {
    const Stopwatch computing(report_.compute_seconds);
    parallel_for(count, [&](std::size_t k) { results[k] = run_batch(first + k, std::move(images[k])); });
  }
  const Stopwatch writing(report_.write_seconds);
  for (const auto& batch : results)
    for (const auto& c : batch) to.write(c);
}

InferenceReport Server::Inference::run() {
  const ckks::CiphertextFileInfo info = output_info();
  ckks::CiphertextWriter output(output_, wire::Kind::output, *server_.ring_, info, report_.batches > 1,
                                server_.options_.signer.get());
  const auto finished = [&] { return output.finished() / info.sections_per_batch(); };
  report_.batches_of_an_earlier_run = finished();
  (void)server_.model();  // made before batches run side by side
  check_stop();
  try {
    for (std::uint64_t b = finished(); b < report_.batches; b += report_.batches_at_once)
      run_batches(b, std::min(report_.batches_at_once, report_.batches - b), output);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::interrupted || finished() == 0 || output_.path() == nullptr) throw;
    throw Error(e.code(), fmt::format("interrupted; {} of {} batches are kept in {}.part, from which the same command "
                                      "goes on",
                                      finished(), report_.batches, wire::output_target(*output_.path()).string()));
  }
  const Stopwatch writing(report_.write_seconds);
  output.commit();
  return std::move(report_);
}

InferenceReport Server::infer(const Source& input, ckks::KeyFile& keys, const Sink& output, const InferenceHooks& hooks,
                              const std::optional<Source>& public_key) {
  return Inference(*this, input, keys, output, hooks, public_key).run();
}

}  // namespace sotto::engine
