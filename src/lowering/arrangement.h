#pragma once

#include <vector>

#include "packing/layout.h"
#include "training/step.h"
#include "training/twin.h"

namespace sotto::lowering {

using packing::Layout;
using training::Example;
using training::Op;
using training::Parameter;
using training::Shape;
using training::Space;
using training::State;
using training::Step;
using training::Value;
using training::Window;

/// Blocks of slots that one stage spreads or gathers, at most: as many rotations have one ModUp, or one ModDown.
inline constexpr int kMostBlocks = 32;

/// Where the weights of a parameter lie in the state.
///
/// A leaf is what an operation uses at once: one number for a kernel, which all slots then hold; for a matrix the
/// numbers of one output, channel and phase, one per position of the tile.
struct ParameterPlace {
  int first = 0;   ///< first slot
  int unit = 1;    ///< slots of a leaf: 1, or the tile's positions
  int leaves = 0;  ///< one behind the other: [out][in][kh][kw], or [out][c][phase]
};

/// Where everything lies in the slots of ciphertexts.
///
/// Maps lie as in inference (packing::Layout), one channel and phase per ciphertext and tile after tile the images of a
/// group; a step reads as many groups as hold its batch. The numbers of a vector fill the tiles of their images.
/// Weights and velocities lie side by side in one ciphertext, which repeats them with `period`: weights in the lower
/// half of a period, velocities in the upper one.
struct Arrangement {
  int log_n = 16;
  int tile = 8;                 ///< positions in each direction
  int batch = 0;                ///< images of a step
  std::vector<Layout> layouts;  ///< by value of the step; of maps and vectors
  int node = 0;                 ///< slots that are spread and gathered together, a power of two
  int period = 0;               ///< of the state, a power of two
  std::vector<ParameterPlace> parameters;

  [[nodiscard]] int slots() const { return 1 << log_n; }
  [[nodiscard]] int positions() const { return tile * tile; }
  [[nodiscard]] int images_per_group() const { return slots() / positions(); }
  [[nodiscard]] int groups() const { return (batch + images_per_group() - 1) / images_per_group(); }
  /// Ciphertexts of a map or vector: [group][channel][phase].
  [[nodiscard]] int ciphertexts(int value) const {
    return groups() * layouts[static_cast<std::size_t>(value)].ciphertexts();
  }
};

/// Arranges a step for batches of this size. Throws Error{bad_input} for a network whose maps do not fit: strides that
/// are no powers of two, or more weights than the slots of a ciphertext hold; Error{no_resources} if the batch is too
/// large. tile: of all maps, which it must have room for; 0: whatever suits them.
Arrangement arrange(const Step& step, int batch, int log_n, int tile = 0);

/// The same without places for weights.
Arrangement arrange_maps(const Step& step, int batch, int log_n, int tile = 0);

/// Flags by tile position: where this phase of a map has a pixel.
std::vector<bool> pixels_of(const Layout& layout, int tile, int phase);

/// The slot of number `index` of a parameter's weights, below half the period; velocities lie half a period above.
int slot_of(const Step& step, const Arrangement& arrangement, std::size_t parameter, std::size_t index);

/// The slots of one period of the state, and back.
std::vector<double> pack_state(const Step& step, const Arrangement& arrangement, const State& state);
State unpack_state(const Step& step, const Arrangement& arrangement, std::span<const double> slots);

/// The slots of one ciphertext of the images, and of the labels, of a batch of at most arrangement.batch examples. What
/// is missing is zero; absent: what labels of images are that are not there.
std::vector<double> pack_images(const Step& step, const Arrangement& arrangement, std::span<const Example* const> batch,
                                int group, int channel, int phase);
std::vector<double> pack_labels(const Arrangement& arrangement, std::span<const Example* const> batch, int group,
                                int label, double absent);

}  // namespace sotto::lowering
