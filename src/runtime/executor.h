#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "ckks/evaluator.h"
#include "plan/schedule.h"
#include "runtime/linear.h"

namespace sotto::runtime {

/// Seconds spent on one step of a plan.
struct StepTime {
  double rotate = 0, linear = 0, activate = 0;
  [[nodiscard]] double total() const { return rotate + linear + activate; }
};

/// Where a run stands.
struct Progress {
  std::size_t task = 0, tasks = 0;
  int step = 0;
  double done = 0;  ///< fraction of the predicted cost, 0 .. 1
};

/// The encrypted interpretation of a plan: runs one batch, task by task, freeing every ciphertext after its last use.
class Executor {
 public:
  /// keys: the plan's key request, held by the caller. `progress` may be empty; `stop`, when set by someone, ends the
  /// run with Error{interrupted} at the next task.
  Executor(const plan::Plan& plan, const ckks::Parameters& parameters, const std::shared_ptr<const ring::Ring>& ring,
           ckks::KeyProvider& keys, std::function<void(const Progress&)> progress = {},
           const std::atomic<bool>* stop = nullptr);

  /// input: [phase * channels + channel] of the input tensor. Returns the scores: one ciphertext per class, image b's
  /// score in slot b T^2.
  std::vector<ckks::Ciphertext> run(std::vector<ckks::PackedCiphertext> input);

  /// Seconds per step of the last run.
  [[nodiscard]] const std::vector<StepTime>& times() const { return times_; }
  /// Called after a key tier's last use, so that the owner of the keys can free it.
  std::function<void(int tier)> tier_done;
  /// Called with every finished tensor phase (for tests): tensor, phase, channels.
  std::function<void(int, int, const std::vector<ckks::PackedCiphertext>&)> observe;

 private:
  using Channels = std::vector<ckks::PackedCiphertext>;

  std::vector<std::vector<const ckks::PackedCiphertext*>> prepare(const plan::Task& task);
  void release(int task_index);
  ckks::Ciphertext finish(const plan::Step& step, bool sum_tile, ckks::Ciphertext c) const;

  const plan::Plan& plan_;
  plan::Schedule schedule_;
  std::vector<double> share_;
  const ring::Ring& ring_;
  ckks::Evaluator evaluator_;
  LinearMap linear_;
  std::function<void(const Progress&)> progress_;
  const std::atomic<bool>* stop_;
  std::map<std::pair<int, int>, Channels> tensors_;
  std::map<plan::Source, Channels> rotated_;
  std::vector<StepTime> times_;
};

}  // namespace sotto::runtime
