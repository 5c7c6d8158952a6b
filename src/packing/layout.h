#pragma once

#include <algorithm>
#include <bit>

#include "circuit/circuit.h"

namespace sotto::packing {

/// Most channels that share a ciphertext.
inline constexpr int kMaxGroup = 64;
/// Most phases of a map in each direction.
inline constexpr int kMostPhases = 64;

/// Most positions of a tile in each direction.
inline constexpr int kMostTileSide = 256;

/// A number for the height and one for the width of maps.
struct Axes {
  int h = 1, w = 1;

  constexpr Axes(int both) : h(both), w(both) {}  // NOLINT(google-explicit-constructor): most are equal
  constexpr Axes(int height, int width) : h(height), w(width) {}
  [[nodiscard]] constexpr int area() const { return h * w; }
  bool operator==(const Axes&) const = default;
};

/// How the pixels of a feature map lie in ciphertexts.
///
/// A ciphertext holds, for one block of G channels, a tile of T.h x T.w positions for every image of the batch: slot
/// (image * G + s) * T.h * T.w + ty * T.w + tx. Place s holds channel s mod `places()` of the block: a map with fewer
/// channels than G repeats them, and places between the number of channels and the next power of two hold zeros. Pixel
/// (y, x) has canvas coordinates (y * gap.h, x * gap.w); in each direction canvas coordinate Y belongs to phase Y mod P
/// at tile position Y / P. So P.h * P.w ciphertexts make a block, and neighbours lie in other ciphertexts or a few tile
/// positions away.
///
/// Where strides leave gaps, other channels can lie in them (docs/adr/0051): then a block has F.h * F.w channels, and
/// channel s of it lies s / F.w rows and s mod F.w columns behind where the first one does.
struct Layout : circuit::Shape {
  Axes phases = 1;  ///< P, powers of two
  Axes gap = 1;     ///< no common factor with P
  int group = 1;    ///< G, a power of two up to kMaxGroup; the same for all maps of a plan
  Axes fill = 1;    ///< F, powers of two up to the gap; 1 in a direction with phases, and 1 x 1 if G is not 1

  /// Channels of a block.
  [[nodiscard]] int together() const { return group * fill.area(); }
  /// Ciphertexts per phase.
  [[nodiscard]] int blocks() const { return (channels + together() - 1) / together(); }
  [[nodiscard]] int phase_count() const { return phases.h * phases.w; }
  [[nodiscard]] int ciphertexts() const { return blocks() * phase_count(); }
  /// Of the G places those with channels of their own.
  [[nodiscard]] int places() const {
    return std::min(group, static_cast<int>(std::bit_ceil(static_cast<unsigned>(channels))));
  }
  /// The channel at place s of a block, 0 .. together() - 1, or -1 if there is none.
  [[nodiscard]] int channel_at(int block, int s) const {
    const int c = block * together() + (group > 1 ? s % places() : s);
    return c < channels ? c : -1;
  }
  bool operator==(const Layout&) const = default;
};

/// Tile position (ty * T.w + tx) and phase (py * P.w + px) of a pixel.
struct Place {
  int phase = 0, position = 0;
};
Place place_of(const Layout& layout, const Axes& tile, int y, int x);

/// Slots between a pixel of the channel at place s of a block, 0 .. together() - 1, and the same one at place 0.
int offset_of(const Layout& layout, const Axes& tile, int s);

/// By how many places channel `channel` of an input block moves to place `s` of an output block. Input and output
/// places repeat, so there is a choice: forwards (cyclically if one image fills the ciphertext: `alone`), else
/// backwards.
int channel_move(const Layout& in, int s, int channel, bool alone);

}  // namespace sotto::packing
