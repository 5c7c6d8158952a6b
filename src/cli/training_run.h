#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/earlier_training.h"
#include "client/training.h"
#include "graph/network.h"
#include "lowering/compile.h"
#include "report/training.h"

namespace sotto::cli {

/// Seconds since it was made.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Images on which networks are compared in the clear.
class TestSet {
 public:
  /// examples: as the step sees them (lowering::seen_by_step).
  TestSet(const lowering::TrainingPlan& plan, std::vector<training::Example> examples);

  [[nodiscard]] std::size_t size() const { return examples_.size(); }
  /// Part of the labels that the network with these weights gets right; nothing without images.
  [[nodiscard]] std::optional<double> accuracy(const training::Step& step,
                                               const std::vector<std::vector<double>>& weights) const;

 private:
  graph::Network network_;
  std::vector<training::Example> examples_;
};

struct TrainingRunOptions {
  std::string work;    ///< folder that keeps keys and encrypted files; empty: a temporary one
  std::string memory;  ///< of the server's process
  int threads = 0;
};

/// What is known of a training before it runs. batches: of images; threads: that it will have.
report::Training report_of(const lowering::TrainingPlan& plan, std::uint64_t batches, int threads);

/// Plays both sides: makes keys, encrypts, lets a process of sotto-server train, and decrypts. What a work folder has
/// of an earlier run of the same plan and images is used again.
class TrainingRun {
 public:
  /// Finds what can be wrong before any work, and changes no file. Plan and examples must outlive it. Throws
  /// Error{no_resources} for too little memory, and what WorkFolder and EarlierTraining::require_no_others throw.
  TrainingRun(const lowering::TrainingPlan& plan, const std::vector<training::Example>& examples,
              const TrainingRunOptions& options);

  /// Figures go to `report`. Throws what the steps throw; returns nothing and sets *exit_code if the server's process
  /// failed, which has then said why.
  std::optional<client::DecryptedTraining> run(report::Training& report, int& exit_code);

 private:
  const lowering::TrainingPlan& plan_;
  const std::vector<training::Example>& examples_;
  TrainingRunOptions options_;
  std::unique_ptr<WorkFolder> work_;
  EarlierTraining earlier_;
};

}  // namespace sotto::cli
