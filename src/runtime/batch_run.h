#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "ckks/evaluator.h"
#include "plan/live_set.h"
#include "plan/residency.h"
#include "runtime/model.h"
#include "runtime/probe_sums.h"
#include "runtime/store.h"

namespace sotto::runtime {

/// Seconds spent on one step of a plan.
struct StepTime {
  double rotate = 0, linear = 0, activate = 0, disk = 0;
  [[nodiscard]] double total() const { return rotate + linear + activate + disk; }
  StepTime& operator+=(const StepTime& o) {
    rotate += o.rotate;
    linear += o.linear;
    activate += o.activate;
    disk += o.disk;
    return *this;
  }
};

/// Where a run stands.
struct Progress {
  std::size_t task = 0, tasks = 0;
  int step = 0;
  double done = 0;  ///< fraction of the predicted cost, 0 .. 1
};

/// What a run does beside computing; each may be empty.
struct RunOptions {
  std::function<void(const Progress&)> progress;
  const std::atomic<bool>* stop = nullptr;   ///< set by someone: the run ends with Error{interrupted} soon
  std::optional<plan::Residency> residency;  ///< moves between memory and a scratch file: keeps to a memory limit
  std::filesystem::path scratch;             ///< the folder of that file
  /// Called after a key's last use, so that the owner of the keys can free it.
  std::function<void(const ckks::KeyId& id)> key_done;
  /// Called with every finished phase of a tensor, all its blocks of channels (for tests).
  std::function<void(int tensor, int phase, const std::vector<ckks::PackedCiphertext>& blocks)> observe;
};

/// The encrypted interpretation of a plan: runs batches, task by task, freeing every ciphertext after its last use.
/// One batch at a time; several runs may share a model and keys.
class BatchRun {
 public:
  /// keys: the plan's key request. Model and keys must outlive the run.
  BatchRun(const Model& model, ckks::KeyProvider& keys, RunOptions options = {});

  /// input: [phase * blocks + block] of the input tensor. Returns the scores, one ciphertext per block of classes: the
  /// score of image b for the class at place s is in slot (b G + s) T.h T.w. Of a plan that ends in a map all of its
  /// ciphertexts, [phase * blocks + block].
  std::vector<ckks::Ciphertext> execute(std::vector<ckks::PackedCiphertext> input);

  /// The sums of the last batch for plan.probes, which go to the client beside the scores. To be called once.
  [[nodiscard]] std::vector<ckks::Ciphertext> take_probes() { return probes_.take(); }
  /// Seconds per step of the last batch.
  [[nodiscard]] const std::vector<StepTime>& times() const { return times_; }

 private:
  using Sources = std::vector<std::vector<const ckks::PackedCiphertext*>>;

  void run_task(std::size_t task, plan::LiveSet& live);
  void finish_task(std::size_t task, std::vector<ckks::Ciphertext>& sums, const std::vector<ckks::Ciphertext>& factors);
  void show(std::size_t task, std::size_t step, double part) const;
  void check_stop() const;
  void move_before(std::size_t task, StepTime& time);
  void move_after(std::size_t task, StepTime& time);
  void make_copies(const std::vector<plan::LiveSet::Copies>& list, const ckks::Level& level);
  [[nodiscard]] Sources sources(const plan::Task& task) const;
  std::vector<ckks::Ciphertext> sums(const plan::Task& task, const Sources& sources, StepTime& time) const;
  ckks::Ciphertext giant_steps(const plan::Task& task, const Sources& sources, int block, StepTime& time) const;
  std::vector<ckks::Ciphertext> giant_steps_in_gaps(const plan::Task& task, const Sources& sources,
                                                    StepTime& time) const;
  ckks::Ciphertext finish(const plan::Step& step, bool sum_tile, ckks::Ciphertext c,
                          const ckks::Ciphertext* factor) const;
  [[nodiscard]] std::vector<ckks::Ciphertext> copies(const plan::Task& task, const plan::Tap& of) const;
  void bootstrap(const plan::Step& step, std::vector<ckks::Ciphertext>& list,
                 const std::function<void(std::size_t)>& done) const;

  const Model& model_;
  const plan::Plan& plan_;
  const ring::Ring& ring_;
  ckks::KeyProvider& keys_;
  RunOptions options_;
  ckks::Evaluator evaluator_;
  ProbeSums probes_;
  Store store_;
  std::vector<StepTime> times_;
};

}  // namespace sotto::runtime
