#pragma once

#include <cstddef>
#include <vector>

#include "plan/client_spec.h"

namespace sotto::plan {

/// Which slots of the answer to a batch mean something (docs/formats/ciphertexts.md): the same for the server, which
/// hides the others, and for the client, which reads these.
class AnswerSlots {
 public:
  explicit AnswerSlots(const Plan& plan);
  explicit AnswerSlots(const ClientSpec& spec);

  /// Ciphertexts of scores; probes follow them.
  [[nodiscard]] std::size_t blocks() const { return (outputs_ + group_ - 1) / group_; }
  /// Calls use(image, class, slot) for the scores of a block.
  template <class F>
  void each_score(std::size_t block, F&& use) const {
    for (std::size_t i = 0; i < batch_; ++i)
      for (std::size_t s = 0; s < group_ && block * group_ + s < outputs_; ++s)
        use(i, block * group_ + s, slot(i, s, 0));
  }
  /// Calls use(image, slot) for what is watched of a probe.
  template <class F>
  void each_watched(const Watched& w, F&& use) const {
    for (std::size_t i = 0; i < batch_; ++i)
      for (int s = 0; s < w.places; ++s)
        for (int y = 0; y < w.rows; y += w.row_gap)
          for (int x = 0; x < w.columns; x += w.column_gap)
            use(i, slot(i, static_cast<std::size_t>(s), static_cast<std::size_t>(y * tile_.w + x)));
  }

 private:
  [[nodiscard]] std::size_t slot(std::size_t image, std::size_t place, std::size_t position) const {
    return (image * group_ + place) * static_cast<std::size_t>(tile_.area()) + position;
  }

  Axes tile_;
  std::size_t group_, batch_, outputs_;
};

/// Coefficients of an answer beyond this part of the modulus say that it is lost: values outgrew it, or the key is
/// another one. What fills the modulus has some of its many coefficients there.
inline constexpr double kMostOfModulus = 7.0 / 16;

}  // namespace sotto::plan
