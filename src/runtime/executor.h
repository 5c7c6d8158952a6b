#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bootstrap/refresher.h"
#include "ckks/evaluator.h"
#include "plan/live_set.h"
#include "plan/residency.h"
#include "runtime/grouped_linear.h"
#include "runtime/linear.h"
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

/// The encrypted interpretation of a plan: runs one batch, task by task, freeing every ciphertext after its last use.
class Executor {
 public:
  /// keys: the plan's key request, held by the caller. `progress` may be empty; `stop`, when set by someone, ends the
  /// run with Error{interrupted} soon.
  Executor(const plan::Plan& plan, const ckks::Parameters& parameters, const std::shared_ptr<const ring::Ring>& ring,
           ckks::KeyProvider& keys, std::function<void(const Progress&)> progress = {},
           const std::atomic<bool>* stop = nullptr, const std::filesystem::path& scratch = {});

  /// Keeps to a memory limit by these moves to a scratch file, which lies in the folder `scratch` of the constructor.
  void limit_memory(plan::Residency residency);

  /// input: [phase * blocks + block] of the input tensor. Returns the scores, one ciphertext per block of classes: the
  /// score of image b for the class at place s is in slot (b G + s) T^2.
  std::vector<ckks::Ciphertext> run(std::vector<ckks::PackedCiphertext> input);

  /// The sums of the last run for plan.probes, which go to the client beside the scores. To be called once.
  [[nodiscard]] std::vector<ckks::Ciphertext> take_probes() { return probes_.take(); }
  /// Seconds per step of the last run.
  [[nodiscard]] const std::vector<StepTime>& times() const { return times_; }
  /// Called after a key tier's last use, so that the owner of the keys can free it.
  std::function<void(int tier)> tier_done;
  /// Called with every finished tensor phase (for tests): tensor, phase, blocks.
  std::function<void(int, int, const std::vector<ckks::PackedCiphertext>&)> observe;

 private:
  using Sources = std::vector<std::vector<const ckks::PackedCiphertext*>>;

  void check_stop() const;
  void move_before(std::size_t task, StepTime& time);
  void move_after(std::size_t task, StepTime& time);
  void make_copies(const std::vector<plan::LiveSet::Copies>& list, int limbs);
  [[nodiscard]] Sources sources(const plan::Task& task) const;
  std::vector<ckks::Ciphertext> sums(const plan::Task& task, const Sources& sources, StepTime& time) const;
  ckks::Ciphertext giant_steps(const plan::Task& task, const Sources& sources, int block, StepTime& time) const;
  ckks::Ciphertext finish(const plan::Step& step, bool sum_tile, ckks::Ciphertext c) const;
  [[nodiscard]] std::vector<ckks::Ciphertext> copies(const plan::Task& task) const;
  void refresh(const plan::Step& step, std::vector<ckks::Ciphertext>& list,
               const std::function<void(std::size_t)>& done) const;

  const plan::Plan& plan_;
  plan::Schedule schedule_;
  std::vector<double> share_;
  const ring::Ring& ring_;
  ckks::KeyProvider& keys_;
  ckks::Evaluator evaluator_;
  ProbeSums probes_;
  std::optional<LinearMap> single_;
  std::optional<GroupedLinear> grouped_;
  std::optional<bootstrap::Refresher> refresher_;
  std::map<int, plan::TaskSpan> tiers_;
  std::function<void(const Progress&)> progress_;
  const std::atomic<bool>* stop_;
  Store store_;
  std::optional<plan::Residency> residency_;
  std::vector<StepTime> times_;
};

}  // namespace sotto::runtime
