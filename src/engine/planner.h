#pragma once

#include <cstdint>
#include <vector>

#include "compiler/planning_hooks.h"
#include "engine/measured_network.h"
#include "plan/plan.h"

namespace sotto::engine {

/// What plans must keep to.
struct PlannerOptions {
  double agreement = 0.995;  ///< part of the labels that must be predicted to be the float network's, 0 .. 1
  std::uint64_t memory = 0;  ///< most bytes of an inference; 0: what this machine has, if any packing keeps to that
  ckks::SecurityLevel security = ckks::SecurityLevel::classical128;
  bool precise = false;  ///< twice the modulus for every square or product of a network that is bootstrapped
};

/// Some images and the plan that serves them.
struct Part {
  plan::Plan plan;
  std::size_t images = 0;
};

/// Chooses among the packings of one network by predicted time and memory, and gives the chosen one the precision that
/// its labels need.
class Planner {
 public:
  explicit Planner(MeasuredNetwork network, PlannerOptions options = {}, compiler::PlanningHooks hooks = {});

  /// The plan that serves so many images (1 .. 65536) in the least predicted time, in one run or several. If its labels
  /// are not predicted to agree, one of the other kind (single channels or several per ciphertext) is tried.
  /// Throws Error{bad_input} for a network that cannot run encrypted, naming the node; Error{no_resources} if no
  /// packing fits the memory or if too few labels are predicted to agree with any.
  [[nodiscard]] plan::Plan plan(int images) const;

  /// The cheapest way to serve exactly so many images: one packing, or full runs of one and the rest in runs of a
  /// smaller one. Errors as for plan().
  [[nodiscard]] std::vector<Part> parts(int images) const;

 private:
  // A packing with its predicted cost. Its plan is made again when it is chosen: large ones have millions of weights.
  struct Packing {
    compiler::Options options;
    int batch = 0;
    double seconds = 0;  // of a run
    std::uint64_t least_bytes = 0;
    bool fits = true;

    [[nodiscard]] double seconds_for(int images) const;
  };

  [[nodiscard]] Packing packing(const compiler::Options& options, const plan::Plan& plan) const;
  [[nodiscard]] Packing single_channels(compiler::Options options) const;
  [[nodiscard]] std::vector<Packing> packings(int images) const;
  [[nodiscard]] std::vector<Packing> by_time(std::vector<Packing> packings, int images) const;
  [[nodiscard]] compiler::Compiled refined(const Packing& packing) const;
  [[nodiscard]] bool too_large_to_simulate(const plan::Plan& plan) const;
  [[nodiscard]] bool measured(const plan::Prediction& prediction) const;
  [[nodiscard]] bool fits(const plan::Plan& plan) const;
  [[nodiscard]] bool serves(const compiler::Compiled& compiled) const;
  void look_closer(compiler::Compiled& compiled) const;
  [[noreturn]] void refuse(const compiler::Compiled& compiled) const;
  [[nodiscard]] plan::Plan finished(compiler::Compiled compiled) const;
  [[nodiscard]] plan::Plan fastest_that_serves(const std::vector<Packing>& list, int images) const;

  MeasuredNetwork network_;
  PlannerOptions options_;
  compiler::PlanningHooks hooks_;
};

}  // namespace sotto::engine
