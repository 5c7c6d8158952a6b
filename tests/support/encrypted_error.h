#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "runtime/batch_run.h"
#include "support/places.h"
#include "support/toy_client.h"
#include "support/values.h"

namespace sotto::test {

inline std::vector<std::vector<double>> random_images(const plan::Plan& p, int count) {
  std::vector<std::vector<double>> images;
  for (int b = 0; b < count; ++b)
    images.push_back(random_values(static_cast<std::size_t>(p.io.channels * p.io.height * p.io.width),
                                   static_cast<unsigned>(100 + b), 1));
  return images;
}

/// Runs a whole batch encrypted. The largest error against the interpreter of any slot that holds a pixel, at every
/// place that holds its channel, or of the zeros where no channel is; relative to its tensor's largest value, or to 0.1
/// if that is smaller.
inline double worst_error(const plan::Plan& p) {
  ToyClient client(p);
  const auto images = random_images(p, p.batch);
  std::vector<std::map<int, std::vector<double>>> truth(images.size());
  std::vector<double> largest(p.tensors.size(), 0.1);
  for (std::size_t b = 0; b < images.size(); ++b)
    circuit::interpret(plan::view(p), images[b], [&](int t, std::span<const double> v) {
      truth[b][t].assign(v.begin(), v.end());
      for (double x : v)
        largest[static_cast<std::size_t>(t)] = std::max(largest[static_cast<std::size_t>(t)], std::abs(x));
    });
  const bool activates = std::any_of(p.steps.begin(), p.steps.end(),
                                     [](const plan::Step& step) { return step.kind == plan::Kind::activate; });
  double worst = 0;
  std::size_t compared = 0;
  const runtime::Model model(p, client.parameters, client.ring);
  runtime::RunOptions options;
  options.observe = [&](int t, int phase, const std::vector<ckks::PackedCiphertext>& blocks) {
    const plan::Tensor& tensor = p.tensors[static_cast<std::size_t>(t)];
    const plan::Layout& l = tensor.layout;
    const int places = places_of_block(l);
    ASSERT_EQ(blocks.size(), static_cast<std::size_t>((l.channels + places - 1) / places));
    for (int block = 0; block < static_cast<int>(blocks.size()); ++block) {
      const ckks::PackedCiphertext& c = blocks[static_cast<std::size_t>(block)];
      ASSERT_EQ(c.level(), tensor.level);
      ASSERT_NEAR(c.scale / tensor.scale, 1, 1e-9);
      const std::vector<double> slots = client.slots(ckks::unpack(*client.ring, c, c.level()));
      for (int b = 0; b < p.batch; ++b)
        for (int s = 0; s < places; ++s)
          for (int y = 0; y < l.height; ++y)
            for (int x = 0; x < l.width; ++x) {
              const plan::Place place = plan::place_of(l, p.tile, y, x);
              if (place.phase != phase) continue;
              const int channel = channel_of_place(l, block, s);
              if (channel < 0 && activates) continue;  // a polynomial need not be 0 at 0
              const std::vector<double>& values = truth[static_cast<std::size_t>(b)][t];
              const double expected =
                  channel < 0 ? 0 : values[static_cast<std::size_t>((channel * l.height + y) * l.width + x)];
              const double error = std::abs(slots[slot_of(p, l, b, s, place.position)] - expected) /
                                   largest[static_cast<std::size_t>(t)];
              worst = std::max(worst, std::isfinite(error) ? error : INFINITY);
              ++compared;
            }
    }
  };
  runtime::BatchRun run(model, client.keys, options);
  EXPECT_EQ(run.execute(client.encrypt(images)).size(), static_cast<std::size_t>(p.output().layout.blocks()));
  return compared > 0 ? worst : INFINITY;
}

}  // namespace sotto::test
