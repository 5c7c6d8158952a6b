#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "circuit/term.h"
#include "ckks/encoder.h"
#include "plan/schedule.h"

namespace sotto::plan {

/// The integer plaintexts of a plan's linear maps with several channels per ciphertext, in groups or in gaps. Weights
/// differ from place to place, so a plaintext repeats with the period of its step (plan::step_period).
class GroupedPlaintexts {
 public:
  /// What multiplies one ciphertext.
  struct Column {
    int tap = 0;    ///< index into Task::taps
    int block = 0;  ///< of the ciphertexts that the tap reads
    /// step_period() integers; the weight is such a one over step.scale / source.scale.
    std::vector<double> coefficients;
  };
  /// A task's plaintexts for one block of outputs and one giant step: its number, or with gaps its way (Task::giants).
  struct Sum {
    std::vector<Column> columns;  ///< those that are not zero
    std::vector<double> bias;     ///< times step.scale; of giant step 0 only
  };

  /// `plan` must outlive it.
  explicit GroupedPlaintexts(const Plan& plan) : plan_(plan) {}

  [[nodiscard]] Sum of(const Task& task, int block, int giant) const;
  /// For plaintexts of a period.
  [[nodiscard]] const ckks::Encoder& encoder(std::size_t period) const;

 private:
  [[nodiscard]] std::vector<double> tap_slots(const Task& task, const circuit::WeightTable& weights,
                                              const Column& column, int block, int giant, std::size_t period) const;
  [[nodiscard]] std::vector<double> tap_slots_in_gaps(const Task& task, const circuit::WeightTable& weights,
                                                      const Column& column, int block, int giant,
                                                      std::size_t period) const;
  [[nodiscard]] std::vector<double> bias_slots(const Task& task, int block, std::size_t period) const;

  const Plan& plan_;
  mutable std::mutex mutex_;
  mutable std::map<std::size_t, ckks::Encoder> encoders_;  // by period
};

}  // namespace sotto::plan
