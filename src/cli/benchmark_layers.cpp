#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "base/error.h"
#include "ckks/encoder.h"
#include "cli/benchmarks.h"
#include "cli/medians.h"
#include "runtime/linear.h"

namespace sotto::cli {

namespace {

constexpr int kLogN = 16, kLimbs = 2, kTile = 8, kKernel = 3;
constexpr double kScale = 0x1p40, kWeightScale = 0x1p30;

// A 3x3 layer between as many channels, which read those of their group.
plan::Plan layer(int channels, int size, int groups) {
  plan::Plan p;
  p.parameters = {kLogN, ring::RingKind::conjugate_invariant, kLimbs, 1, 48};
  p.tile = kTile;
  p.batch = (1 << kLogN) / (kTile * kTile);
  const plan::Layout layout{{channels, size, size}, size / kTile, 1, 1};
  p.tensors = {{"image", layout, kLimbs, kScale}, {"sum", layout, kLimbs, kScale * kWeightScale}};
  plan::Term term{plan::Term::Kind::convolution, 0, kKernel, kKernel, 1, 1, 1, 1, {}};
  const int each = channels / groups;
  for (int g = 0; groups > 1 && g < groups; ++g) term.blocks.push_back({g * each, each, g * each, each});
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  term.weights.resize(static_cast<std::size_t>(channels * each * kKernel * kKernel));
  for (double& w : term.weights) w = uniform(rng);
  plan::Step step;
  step.output = 1;
  step.bias.resize(static_cast<std::size_t>(channels));
  for (double& b : step.bias) b = uniform(rng);
  step.terms = {std::move(term)};
  step.keep = true;
  step.level = kLimbs;
  step.scale = kScale * kWeightScale;
  p.steps = {std::move(step)};
  return p;
}

// Random images, and the rotated copies that the first phase of a layer reads. The second polynomial of a channel is
// the first of the next one: two convolutions with known results.
struct Images {
  Images(const ring::Ring& ring, const plan::Plan& plan, const plan::Task& task) : layout(plan.input().layout) {
    const ckks::Encoder encoder(kLogN, ring::RingKind::conjugate_invariant);
    std::mt19937_64 rng(2);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<ckks::Plaintext> encoded;  // [channel][phase]
    for (int i = 0; i < layout.channels * layout.phase_count(); ++i) {
      auto& values = slots.emplace_back(ring.slots());
      for (double& v : values) v = uniform(rng);
      encoded.push_back(ckks::encode(ring, encoder.embed_inverse(std::span<const double>(values)), kScale, kLimbs));
    }
    ring::Limb turned = ring.limb();
    for (const plan::Tap& tap : task.taps) {
      if (copies.contains(tap.source)) continue;
      auto& list = copies[tap.source];
      for (int c = 0; c < layout.channels; ++c) {
        ckks::PackedCiphertext& copy = list.emplace_back();
        for (int half = 0; half < 2; ++half) {
          for (const ring::Limb& limb : encoded[index(c + half, tap.source.phase)].poly) {
            ring.kernels().automorphism(turned.data(), limb.data(),
                                        ring.automorphism(ring.rotation_galois_element(tap.source.rotation)), ring.n());
            (half == 0 ? copy.c0 : copy.c1).push_back(ring.pack(turned.data()));
          }
        }
      }
    }
    for (const plan::Tap& tap : task.taps) {
      auto& channels = sources.emplace_back();
      for (const ckks::PackedCiphertext& c : copies.at(tap.source)) channels.push_back(&c);
    }
  }

  [[nodiscard]] std::size_t index(int channel, int phase) const {
    return static_cast<std::size_t>(channel % layout.channels * layout.phase_count() + phase);
  }
  // Pixel of an image, 0 outside.
  [[nodiscard]] double at(int channel, int image, int y, int x) const {
    if (y < 0 || y >= layout.height || x < 0 || x >= layout.width) return 0;
    const plan::Place place = plan::place_of(layout, kTile, y, x);
    return slots[index(channel, place.phase)][static_cast<std::size_t>(image * kTile * kTile + place.position)];
  }
  // Bytes of all sources, each read once.
  [[nodiscard]] std::size_t bytes(std::size_t n) const {
    return copies.size() * copies.begin()->second.size() * 2 * kLimbs * n * simd::kPackedBytes;
  }

  plan::Layout layout;
  std::vector<std::vector<double>> slots;  // [channel][phase]
  std::map<plan::Source, std::vector<ckks::PackedCiphertext>> copies;
  std::vector<std::vector<const ckks::PackedCiphertext*>> sources;
};

// Largest difference of the first and the last output channel from convolutions in floating point, in the first phase.
double largest_error(const ring::Ring& ring, const plan::Plan& plan, const Images& images,
                     const std::vector<ckks::Ciphertext>& sums) {
  const ckks::Encoder encoder(kLogN, ring::RingKind::conjugate_invariant);
  const plan::Layout& layout = images.layout;
  const plan::Step& step = plan.steps[0];
  const circuit::WeightTable weights(step.terms[0], layout, layout);
  double error = 0;
  for (const int o : {0, layout.channels - 1}) {
    for (int half = 0; half < 2; ++half) {
      const ckks::Ciphertext& sum = sums[static_cast<std::size_t>(o)];
      const auto got = encoder.embed(ckks::decode_coefficients(ring, half == 0 ? sum.c0 : sum.c1));
      for (int image = 0; image < plan.batch; image += 37) {
        for (int y = 0; y < layout.height; y += layout.phases.h) {
          for (int x = 0; x < layout.width; x += layout.phases.w) {
            double expected = half == 0 ? step.bias[static_cast<std::size_t>(o)] : 0;
            for (int i = 0; i < layout.channels; ++i) {
              const double* w = weights.find(o, i);
              for (int k = 0; w != nullptr && k < kKernel * kKernel; ++k)
                expected += w[k] * images.at(i + half, image, y + k / kKernel - 1, x + k % kKernel - 1);
            }
            const int position = plan::place_of(layout, kTile, y, x).position;
            const auto slot = static_cast<std::size_t>(image * kTile * kTile + position);
            error = std::max(error, std::abs(got[slot].real() / sum.scale - expected));
          }
        }
      }
    }
  }
  return error;
}

}  // namespace

std::vector<nlohmann::json> bench_layers() {
  std::vector<nlohmann::json> out;
  for (const auto& [channels, size] : {std::pair{64, 8}, std::pair{32, 16}}) {
    const std::vector<plan::Plan> plans{layer(channels, size, 1), layer(channels, size, 4),
                                        layer(channels, size, channels / 4), layer(channels, size, channels)};
    const auto ring = ckks::Parameters::create(plans[0].parameters).make_ring(simd::select_kernels());
    const plan::Task task = plan::make_schedule(plans[0]).tasks[0];
    const Images images(*ring, plans[0], task);
    const auto bytes = static_cast<double>(images.bytes(ring->n()));
    std::vector<ckks::Ciphertext> sums;
    std::vector<double> errors;
    const auto run = [&](const plan::Plan& p) {
      sums.clear();
      sums = runtime::LinearMap(p, *ring).run(task, images.sources);
    };
    for (const plan::Plan& p : plans) {
      run(p);
      errors.push_back(largest_error(*ring, p, images, sums));
      check(errors.back() < 1e-5, "the products of a layer are wrong");
    }
    std::uint64_t all = 0;
    const auto read = [&] {
      for (const auto& [source, list] : images.copies)
        for (const auto& c : list)
          for (const auto* poly : {&c.c0, &c.c1})
            for (const ring::PackedLimb& limb : *poly)
              for (std::size_t at = 0; at < ring->n() * simd::kPackedBytes; at += 8) {
                std::uint64_t word = 0;
                std::memcpy(&word, limb.data() + at, sizeof word);
                all |= word;
              }
    };
    const auto t = medians(
        5, [&] { run(plans[0]); }, [&] { run(plans[1]); }, [&] { run(plans[2]); }, [&] { run(plans[3]); }, read);
    check(all != 0, "there was nothing to read");
    const auto each = [&](std::size_t k) {
      const double products =
          static_cast<double>(plans[k].steps[0].terms[0].weights.size()) * 2 * kLimbs * static_cast<double>(ring->n());
      return t[k] / products;
    };
    for (std::size_t k = 0; k < plans.size(); ++k)
      out.push_back({{"groups", k == 0 ? 1 : static_cast<int>(plans[k].steps[0].terms[0].blocks.size())},
                     {"channels", channels},
                     {"size", size},
                     {"limbs", kLimbs},
                     {"ms", t[k] * 1e3},
                     {"ns_per_product", each(k) * 1e9},
                     {"times_dense", each(k) / each(0)},
                     {"source_gb_per_second", bytes / t[k] * 1e-9},
                     {"memory_gb_per_second", bytes / t.back() * 1e-9},
                     {"kernels", ring->kernels().name},
                     {"largest_error", errors[k]}});
  }
  return out;
}

}  // namespace sotto::cli
