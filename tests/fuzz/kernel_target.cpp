// Every kernel set of this processor against the scalar one, which is the specification.
#include <algorithm>
#include <cstring>
#include <vector>

#include "fuzz/targets.h"
#include "simd/kernels.h"
#include "simd/tables.h"

namespace sotto::fuzz {

namespace {

using simd::AlignedArray, simd::Kernels, simd::ModulusView;
using Words = AlignedArray<std::uint64_t>;

// Primes that are 1 modulo 2^10, of 21 to 48 bits.
constexpr std::uint64_t kPrimes[] = {1051649, 536881153, 1073750017, 68719484929, 281474975662081, 281474962554881};

// Gives out the input's bytes, then pseudo-random ones that depend on all of them.
class Draws {
 public:
  explicit Draws(Input input) : input_(input) {
    for (const unsigned char c : input) state_ = (state_ ^ c) * 0x100000001b3ULL;
  }
  unsigned char byte() {
    if (at_ < input_.size()) return input_[at_++];
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return static_cast<unsigned char>(state_ >> 32);
  }
  std::uint64_t word() {
    std::uint64_t w = 0;
    for (int k = 0; k < 8; ++k) w = w << 8 | byte();
    return w;
  }
  std::size_t below(std::size_t most) { return byte() % most; }
  // A byte says which residue: an extreme one, the one before, or any.
  Words residues(std::size_t n, std::uint64_t q) {
    Words out(n);
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t choices[] = {0, 1, q - 1, q / 2, q / 2 + 1, i > 0 ? out[i - 1] : 0};
      const unsigned char kind = byte();
      out[i] = kind % 8 < 6 ? choices[kind % 8] : word() % q;
    }
    return out;
  }
  std::uint64_t residue(std::uint64_t q) { return residues(1, q)[0]; }
  double centred(const ModulusView& m) {
    const std::uint64_t w = residue(m.q);
    return static_cast<double>(w) - (w > m.q / 2 ? m.qd : 0);
  }

 private:
  Input input_;
  std::size_t at_ = 0;
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

std::uint64_t root_of_order(std::uint64_t order, std::uint64_t q) {
  for (std::uint64_t g = 2;; ++g)
    if (simd::pow_mod(g, (q - 1) / 2, q) == q - 1) return simd::pow_mod(g, (q - 1) / order, q);
}

// What a kernel leaves, for the comparison.
struct Results {
  std::vector<Words> words;
  std::uint64_t* fresh(const Words& like) {
    Words& w = words.emplace_back(like.size());
    std::memcpy(w.data(), like.data(), like.size() * sizeof(std::uint64_t));
    return w.data();
  }
  [[nodiscard]] bool operator==(const Results& o) const {
    return std::ranges::equal(words, o.words, [](const Words& a, const Words& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(std::uint64_t)) == 0;
    });
  }
};

// run(kernels, results): what a set makes of the inputs.
template <class F>
void compare(const F& run) {
  Results expected;
  run(simd::scalar_kernels(), expected);
  for (const Kernels* set : {simd::avx2_kernels(), simd::avx512_kernels(), simd::amx_kernels()}) {
    if (set == nullptr) continue;
    Results found;
    run(*set, found);
    require(found == expected, set->name);
  }
}

void compare_words(Draws& draws, std::size_t n, const ModulusView& m) {
  const Words a = draws.residues(n, m.q), b = draws.residues(n, m.q);
  const std::uint64_t c = draws.residue(m.q);
  compare([&](const Kernels& k, Results& r) {
    k.add(r.fresh(a), a.data(), b.data(), n, m);
    k.sub(r.fresh(a), a.data(), b.data(), n, m);
    k.mul(r.fresh(a), a.data(), b.data(), n, m);
    k.mul_scalar_add(r.fresh(a), a.data(), c, b.data(), n, m);
    k.mul_scalar_add(r.fresh(a), a.data(), c, nullptr, n, m);
    k.sub_mul_scalar(r.fresh(a), a.data(), b.data(), c, n, m);
    auto *d0 = r.fresh(a), *d1 = r.fresh(a), *d2 = r.fresh(a);
    k.square(d0, d1, d2, a.data(), b.data(), n, m);
  });
}

void compare_integers(Draws& draws, std::size_t n, const ModulusView& m) {
  std::vector<double> integers(n);
  for (double& x : integers) x = static_cast<double>(static_cast<std::int64_t>(draws.word()) >> (11 + draws.below(50)));
  const Words zero = draws.residues(n, m.q);
  compare([&](const Kernels& k, Results& r) { k.residues(r.fresh(zero), integers.data(), n, m); });
}

void compare_packing(Draws& draws, std::size_t n, const ModulusView& m) {
  const Words a = draws.residues(n, m.q);
  compare([&](const Kernels& k, Results& r) {
    std::vector<unsigned char> packed(simd::kPackedBytes * n);
    k.pack(packed.data(), a.data(), n);
    k.unpack(r.fresh(a), packed.data(), n);
    require(std::memcmp(r.words.back().data(), a.data(), n * sizeof(std::uint64_t)) == 0, "packing is not undone");
    Words bytes(packed.size() / sizeof(std::uint64_t));
    std::memcpy(bytes.data(), packed.data(), packed.size());
    r.words.push_back(std::move(bytes));
  });
}

void compare_transforms(Draws& draws, std::size_t n, const ModulusView& m) {
  const bool invariant = draws.below(2) == 1;
  const std::uint64_t root = root_of_order((invariant ? 4 : 2) * n, m.q), factor = draws.residue(m.q);
  const Words a = draws.residues(n, m.q);
  const std::uint64_t element = (invariant ? 4 : 2) * draws.below(64) + 1;
  const auto table = simd::make_automorphism_table(element, n, invariant);
  compare([&](const Kernels& k, Results& r) {
    const simd::NttTables tables(n, m.q, root, invariant, k.layout);
    k.ntt(r.fresh(a), tables.view());
    k.intt(r.fresh(a), a.data(), tables.view(), factor);
    k.automorphism(r.fresh(a), a.data(), table.data(), n);
  });
}

void compare_key_switch(Draws& draws, std::size_t n, const ModulusView& m) {
  const std::size_t terms = 1 + draws.below(8);
  std::vector<Words> x;
  std::vector<std::vector<unsigned char>> keys(2 * terms, std::vector<unsigned char>(simd::kPackedBytes * n));
  std::vector<const std::uint64_t*> x_at;
  std::vector<const unsigned char*> k_at[2];
  for (std::size_t t = 0; t < terms; ++t) {
    x_at.push_back(x.emplace_back(draws.residues(n, m.q)).data());
    for (std::size_t p = 0; p < 2; ++p) {
      simd::scalar_kernels().pack(keys[2 * t + p].data(), draws.residues(n, m.q).data(), n);
      k_at[p].push_back(keys[2 * t + p].data());
    }
  }
  const Words y = draws.residues(n, m.q), d = draws.residues(n, m.q);
  const std::uint64_t inverse = draws.residue(m.q), factor = draws.residue(m.q);
  const bool both = draws.below(2) == 1;
  compare([&](const Kernels& k, Results& r) {
    auto *sum0 = r.fresh(y), *sum1 = r.fresh(y);
    k.inner_product(sum0, sum1, x_at.data(), k_at[0].data(), k_at[1].data(), terms, n, m);
    simd::SwitchEnd end{.x = x_at.data(), .k0 = k_at[0].data(), .k1 = k_at[1].data(), .terms = terms};
    end.y[0] = r.fresh(y);
    end.y[1] = r.fresh(d);
    end.d[0] = d.data();
    end.d[1] = both ? y.data() : nullptr;
    end.inverse = inverse;
    end.factor = factor;
    k.switch_end(end, n, m);
  });
}

void compare_products(Draws& draws, const ModulusView* moduli) {
  const std::size_t length = 16 * (1 + draws.below(3)), rows = 1 + draws.below(9), cols = 1 + draws.below(70);
  const bool exact = draws.below(2) == 1, packed = !exact && draws.below(2) == 1, one_modulus = draws.below(2) == 1;
  const std::size_t sets = exact ? 1 : 1 + draws.below(2), stride = cols + 1 + draws.below(3);
  const auto start = static_cast<simd::SumStart>(exact ? 0 : draws.below(3));
  std::vector<const ModulusView*> from(cols), to(rows);
  for (auto& q : from) q = &moduli[one_modulus ? 0 : draws.below(2)];
  for (auto& q : to) q = &moduli[one_modulus ? 0 : draws.below(2)];
  std::vector<Words> src;
  std::vector<std::vector<unsigned char>> src_packed;
  std::vector<const std::uint64_t*> src_at;
  std::vector<const unsigned char*> packed_at;
  for (std::size_t c = 0; c < sets * cols; ++c) {
    src_at.push_back(src.emplace_back(draws.residues(length, from[c % cols]->q)).data());
    simd::scalar_kernels().pack(src_packed.emplace_back(simd::kPackedBytes * length).data(), src_at.back(), length);
    packed_at.push_back(src_packed.back().data());
  }
  std::vector<double> weights(rows * stride);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < stride; ++c) weights[r * stride + c] = draws.centred(*to[r]);
  std::vector<Words> before;
  for (std::size_t r = 0; r < sets * rows; ++r) before.push_back(draws.residues(length, to[r % rows]->q));
  compare([&](const Kernels& k, Results& results) {
    std::vector<std::uint64_t*> dst;
    for (const Words& w : before) dst.push_back(results.fresh(w));
    simd::MatmulArgs args;
    (packed ? static_cast<void>(args.packed = packed_at.data()) : static_cast<void>(args.src = src_at.data()));
    args.src_mod = from.data();
    args.dst = dst.data();
    args.dst_mod = to.data();
    args.weight = weights.data();
    args.stride = stride;
    args.rows = rows;
    args.cols = cols;
    args.length = length;
    args.exact = exact;
    args.sets = sets;
    args.start = start;
    k.matmul(args);
  });
}

}  // namespace

bool run_kernels(Input input) {
  Draws draws(input);
  const std::size_t what = draws.below(6), n = std::size_t{64} << draws.below(3);
  const ModulusView moduli[] = {simd::make_modulus_view(kPrimes[draws.below(std::size(kPrimes))]),
                                simd::make_modulus_view(kPrimes[draws.below(std::size(kPrimes))])};
  switch (what) {
    case 0:
      compare_words(draws, n, moduli[0]);
      break;
    case 1:
      compare_integers(draws, n, moduli[0]);
      break;
    case 2:
      compare_packing(draws, n, moduli[0]);
      break;
    case 3:
      compare_transforms(draws, n, moduli[0]);
      break;
    case 4:
      compare_key_switch(draws, n, moduli[0]);
      break;
    default:
      compare_products(draws, moduli);
  }
  return true;
}

}  // namespace sotto::fuzz
