#pragma once

#include <functional>
#include <vector>

#include "compiler/calibration.h"
#include "compiler/compile.h"
#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What the float network says of calibration images.
struct Reference {
  std::vector<std::vector<double>> scores;  ///< [image][class]
  double spread = 0;  ///< root mean square, over classes, of how far scores lie from their mean over the images
  double middle = 0;  ///< of networks with one score: its mean
  double tie = 0;     ///< images whose two best scores lie no farther apart tell nothing about labels

  /// The root mean square error of scores with which so many labels (a fraction) stay what they are, if errors of
  /// different scores have nothing to do with each other, or less: errors stay a small part of the spread.
  [[nodiscard]] double score_error_for(double agreement) const;

  /// Part of the images whose two best scores are equal: rounding decides their labels.
  [[nodiscard]] double ties() const;
};

/// Throws whatever progress(images done) throws.
Reference reference_of(const graph::Network& network, const Calibration& calibration,
                       const std::function<void(std::size_t)>& progress = {});

/// Runs a plan with the errors of encryption (plan::simulate) on the calibration images and compares with the float
/// network. Images that someone gave and whose best scores are equal count as they come out; made-up ones do not count.
/// Images whose values leave the range of an activation are left out: such are marked when they are decrypted.
plan::Prediction predict(const plan::Plan& plan, const Calibration& calibration, const Reference& reference,
                         const std::function<void(std::size_t)>& progress = {});

/// The same in far less time for large networks: errors that rounded weights make are drawn from their variances, anew
/// for every image and pixel, instead of carried out with the plaintexts.
plan::Prediction predict_by_variances(const Compiled& compiled, const Calibration& calibration,
                                      const Reference& reference,
                                      const std::function<void(std::size_t)>& progress = {});

/// Errors of a circuit without those of encryption: of the polynomials that stand for activations.
plan::Prediction predict_polynomials(const circuit::Circuit& circuit, const Calibration& calibration,
                                     const Reference& reference, const std::function<void(std::size_t)>& progress = {});

}  // namespace sotto::compiler
