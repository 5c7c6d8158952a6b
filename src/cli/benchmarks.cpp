#include "cli/benchmarks.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"
#include "ckks/encoder.h"
#include "ckks/evaluator.h"
#include "cli/medians.h"
#include "secret/crypt.h"
#include "secret/keygen.h"

namespace sotto::cli {

using nlohmann::json;

namespace {

constexpr int kLogN = 16;
constexpr std::size_t kN = std::size_t{1} << kLogN;

void fill_random(std::uint64_t* x, std::uint64_t q, unsigned seed) {
  std::mt19937_64 rng(seed);
  for (std::size_t i = 0; i < kN; ++i) x[i] = rng() % q;
}

std::vector<const simd::Kernels*> kernel_sets() {
  std::vector<const simd::Kernels*> sets = {&simd::scalar_kernels()};
  for (const auto* k : {simd::avx2_kernels(), simd::avx512_kernels(), simd::amx_kernels()})
    if (k != nullptr) sets.push_back(k);
  return sets;
}

// One polynomial modulo every prime of ResNet-20's ring, as a key switch transforms them: tables and data change each
// time.
constexpr int kLimbs = 20, kSpecial = 11;

struct Polynomials {
  explicit Polynomials(const ring::Ring& r) : ring(r) {
    for (std::size_t i = 0; i < ring.prime_count(); ++i) {
      limbs.push_back(ring.limb());
      fill_random(limbs.back().data(), ring.prime(i), static_cast<unsigned>(i));
    }
  }
  void ntt() {
    for (std::size_t i = 0; i < limbs.size(); ++i) ring.ntt(limbs[i].data(), i);
  }

  const ring::Ring& ring;
  std::vector<ring::Limb> limbs;
};

// Forward and inverse transforms of 2^16 words by every kernel set; each must give the scalar words.
std::vector<json> bench_ntt() {
  std::vector<json> out;
  for (const auto kind : {ring::RingKind::standard, ring::RingKind::conjugate_invariant}) {
    const auto parameters = ckks::Parameters::create({kLogN, kind, kLimbs, kSpecial, 48});
    const auto scalar_ring = parameters.make_ring(simd::scalar_kernels());
    const double count = static_cast<double>(scalar_ring->prime_count());
    for (const simd::Kernels* k : kernel_sets()) {
      const auto ring = parameters.make_ring(*k);
      Polynomials expected(*scalar_ring), got(*ring);
      expected.ntt();
      got.ntt();
      for (std::size_t i = 0; i < got.limbs.size(); ++i)
        check(std::equal(got.limbs[i].data(), got.limbs[i].data() + kN, expected.limbs[i].data()),
              "the transforms of two kernel sets differ");
      // In turn with the scalar kernels, so that both see the same machine. One polynomial and prime again and again,
      // then all primes in turn, as a key switch does it.
      std::uint64_t *a = expected.limbs[0].data(), *b = got.limbs[0].data();
      const auto t = medians(
          61, [&] { scalar_ring->ntt(a, 0); }, [&] { ring->ntt(b, 0); }, [&] { ring->intt(b, b, 0); });
      const double in_turn = medians(5, [&] { got.ntt(); })[0] / count;
      out.push_back({{"kernels", k->name},
                     {"ring", ring::name_of(kind)},
                     {"points", kN},
                     {"forward_us", t[1] * 1e6},
                     {"inverse_us", t[2] * 1e6},
                     {"forward_all_primes_us", in_turn * 1e6},
                     {"times_faster_than_scalar", t[0] / t[1]},
                     {"check", "words equal to scalar"}});
    }
  }
  return out;
}

// Rotation of a ciphertext with 20 limbs, two digits and 11 special primes, against the transform in the same run.
std::vector<json> bench_keyswitch() {
  std::vector<json> out;
  for (const auto& [limbs, special] : {std::pair{kLimbs, kSpecial}, std::pair{10, 6}, std::pair{5, 4}}) {
    const ckks::ParametersSpec spec{kLogN, ring::RingKind::conjugate_invariant, limbs, special, 48};
    const auto parameters = ckks::Parameters::create(spec);
    const auto ring = parameters.make_ring(simd::select_kernels());
    const auto secret = secret::SecretKey::generate(ring);
    const ckks::KeyTier tier{limbs, special};
    const ckks::KeyId id{0, ring->rotation_galois_element(1)};
    auto seeded = secret::KeyGenerator(limbs, secret).switching_key({tier, id.galois_element});
    ckks::KeyMap keys;
    keys.keys.emplace(id, ckks::expand(*ring, limbs, std::move(seeded)));
    const ckks::Evaluator evaluator(parameters, ring, {tier}, &keys);
    const ckks::Encoder encoder(kLogN, spec.kind);
    std::vector<double> slots(kN);
    std::mt19937_64 rng(3);
    for (double& s : slots) s = static_cast<double>(rng() % 2000) / 1000 - 1;
    const auto message = ckks::encode(*ring, encoder.embed_inverse(std::span<const double>(slots)), 0x1p40, limbs);
    const auto c = ckks::expand(*ring, secret::encrypt_symmetric(secret, message, ckks::random_seed(), 0));
    ckks::Ciphertext rotated;
    Polynomials polynomials(*ring);
    const double count = static_cast<double>(ring->prime_count());
    const auto t = medians(
        15, [&] { rotated = evaluator.rotate(c, 1); }, [&] { polynomials.ntt(); },
        [&] { ring->ntt(polynomials.limbs[0].data(), 0); });
    const auto got = encoder.embed(secret::decrypt(secret, evaluator.drop_to(rotated, 2)));
    double error = 0;
    for (std::size_t j = 0; j < kN; ++j)
      error = std::max(error, std::abs(got[j].real() / 0x1p40 - slots[(j + 1) % kN]));
    check(error < 1e-5, "a rotation gave wrong slots");
    out.push_back({{"limbs", limbs},
                   {"special_primes", special},
                   {"rotate_ms", t[0] * 1e3},
                   {"ntt_us", t[1] / count * 1e6},
                   {"ntt_one_prime_us", t[2] * 1e6},
                   {"ntt_equivalents", t[0] / (t[1] / count)},
                   {"kernels", ring->kernels().name},
                   {"largest_slot_error", error}});
  }
  return out;
}

// The convolution product: 144 inputs (16 channels, 9 taps) to 16 outputs, checked against plain modular arithmetic.
std::vector<json> bench_conv() {
  constexpr std::size_t kCols = 144, kRows = 16, kRun = 1024;
  std::vector<json> out;
  const auto parameters = ckks::Parameters::create({kLogN, ring::RingKind::conjugate_invariant, 1, 1, 48});
  for (const simd::Kernels* k : kernel_sets()) {
    const auto ring = parameters.make_ring(*k);
    const std::uint64_t q = ring->prime(0);
    std::vector<ring::Limb> in, result;
    for (std::size_t c = 0; c < kCols; ++c) {
      in.push_back(ring->limb());
      fill_random(in.back().data(), q, static_cast<unsigned>(c));
    }
    for (std::size_t r = 0; r < kRows; ++r) result.push_back(ring->limb());
    std::mt19937_64 rng(5);
    std::vector<double> weights(kRows * kCols);
    for (double& w : weights)
      w = static_cast<double>(static_cast<std::int64_t>(rng() % q) - static_cast<std::int64_t>(q / 2));
    const std::vector<const simd::ModulusView*> mod(kCols, &ring->modulus(0));
    const std::size_t words = k == &simd::scalar_kernels() ? 4 * kRun : kN;
    const auto multiply = [&] {
      for (std::size_t at = 0; at < words; at += kRun) {
        std::vector<const std::uint64_t*> src(kCols);
        std::vector<std::uint64_t*> dst(kRows);
        for (std::size_t c = 0; c < kCols; ++c) src[c] = in[c].data() + at;
        for (std::size_t r = 0; r < kRows; ++r) dst[r] = result[r].data() + at;
        k->matmul({src.data(), mod.data(), dst.data(), mod.data(), weights.data(), kCols, kRows, kCols, kRun, false});
      }
    };
    const double seconds = medians(5, multiply)[0];
    for (std::size_t at : {std::size_t{0}, std::size_t{1023}, words - 1}) {
      for (std::size_t r = 0; r < kRows; ++r) {
        __extension__ using i128 = __int128;
        i128 sum = 0;
        for (std::size_t c = 0; c < kCols; ++c)
          sum = (sum + static_cast<i128>(in[c].data()[at]) * static_cast<std::int64_t>(weights[r * kCols + c])) %
                static_cast<i128>(q);
        if (sum < 0) sum += q;
        check(static_cast<std::uint64_t>(sum) == result[r].data()[at], "a convolution product is wrong");
      }
    }
    out.push_back({{"kernels", k->name},
                   {"inputs", kCols},
                   {"outputs", kRows},
                   {"gmac_per_second", static_cast<double>(kCols * kRows * words) / seconds * 1e-9},
                   {"check", "against 128-bit integers"}});
  }
  return out;
}

// The base conversion inside a key switch: 10 primes to 20.
std::vector<json> bench_baseconv() {
  const auto parameters = ckks::Parameters::create({kLogN, ring::RingKind::conjugate_invariant, 20, 10, 48});
  const auto ring = parameters.make_ring(simd::select_kernels());
  std::vector<std::size_t> from, to;
  for (std::size_t i = 0; i < 10; ++i) from.push_back(i);
  for (std::size_t i = 10; i < 30; ++i) to.push_back(i);
  const ring::BasisConversion conversion(*ring, from, to, true);
  // The constant 12345 modulo every prime must arrive as 12345.
  std::vector<ring::Limb> limbs;
  std::vector<const std::uint64_t*> src;
  std::vector<std::uint64_t*> dst;
  for (std::size_t i = 0; i < 30; ++i) limbs.push_back(ring->limb());
  for (std::size_t i = 0; i < 10; ++i) {
    std::fill_n(limbs[i].data(), kN, 12345);
    ring->kernels().mul_scalar_add(limbs[i].data(), limbs[i].data(), conversion.input_factor(i), nullptr, kN,
                                   ring->modulus(i));
    src.push_back(limbs[i].data());
  }
  for (std::size_t i = 10; i < 30; ++i) dst.push_back(limbs[i].data());
  const double seconds = medians(9, [&] { conversion.run(src, dst); })[0];
  for (const std::uint64_t* d : dst)
    check(std::all_of(d, d + kN, [](std::uint64_t v) { return v == 12345; }), "a base conversion is wrong");
  return {json{{"from", 10},
               {"to", 20},
               {"ms", seconds * 1e3},
               {"gmac_per_second", 11.0 * 20 * kN / seconds * 1e-9},
               {"kernels", ring->kernels().name}}};
}

}  // namespace

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = {{"ntt", bench_ntt},           {"keyswitch", bench_keyswitch},
                                             {"conv", bench_conv},         {"layers", bench_layers},
                                             {"baseconv", bench_baseconv}, {"bootstrap", bench_bootstrap}};
  return all;
}

}  // namespace sotto::cli
