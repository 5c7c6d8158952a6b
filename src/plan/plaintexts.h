#pragma once

#include <span>
#include <vector>

#include "circuit/term.h"
#include "ckks/encoder.h"
#include "plan/rounding.h"
#include "plan/schedule.h"

namespace sotto::plan {

/// What one plaintext of a sum is multiplied with: channel `channel` of what tap `tap` of a task reads, or 1 (tap < 0):
/// the bias.
struct Column {
  int tap = -1;
  int channel = 0;
};

/// The integer plaintexts of a plan's linear maps with one channel per ciphertext. A mask times a weight repeats with
/// the tile, so it is a polynomial of a small subring.
class Plaintexts {
 public:
  /// `plan` must outlive it.
  explicit Plaintexts(const Plan& plan);

  /// Slots after which plaintexts repeat, and coefficients of one that is no constant.
  [[nodiscard]] std::size_t period() const { return period_; }
  [[nodiscard]] const ckks::Encoder& encoder() const { return encoder_; }

 private:
  friend class TaskPlaintexts;
  const Plan& plan_;
  std::size_t period_;
  ckks::Encoder encoder_;
  std::vector<Rounding> roundings_;  // by the tensor that is read
};

/// Those of one task.
class TaskPlaintexts {
 public:
  /// Both must outlive it.
  TaskPlaintexts(const Plaintexts& all, const Task& task);

  /// Rounded coefficients, column by column, of what output channel `o` is summed with: one for a constant, else
  /// period(). A weight stands for its integer over step.scale / source.scale, a bias over step.scale. All columns of a
  /// row that are not zero must be asked for together: their errors cancel.
  [[nodiscard]] std::vector<std::vector<double>> row(std::size_t o, std::span<const Column> columns) const;

  /// The columns of a row that are connected, the bias among them.
  [[nodiscard]] std::vector<Column> columns(std::size_t o) const;

 private:
  template <class F>
  [[nodiscard]] std::vector<double> map_coefficients(const Layout& layout, int phase, F&& value, double factor) const;
  [[nodiscard]] std::vector<double> bias(std::size_t o) const;
  void round(int term, std::span<const Column> columns, const std::vector<std::size_t>& list,
             std::vector<std::vector<double>>& plaintexts) const;

  const Plaintexts& all_;
  const Task& task_;
  const Step& step_;
  std::vector<circuit::WeightTable> tables_;   // by term
  std::vector<std::vector<double>> patterns_;  // by tap: subring coefficients of its mask; empty: all ones
};

}  // namespace sotto::plan
