#include "plan/identity.h"

#include <sodium.h>

#include <type_traits>
#include <vector>

namespace sotto::plan {

namespace {

class Hash {
 public:
  Hash() { crypto_generichash_init(&state_, nullptr, 0, 16); }
  void bytes(const void* p, std::size_t n) {
    crypto_generichash_update(&state_, static_cast<const unsigned char*>(p), n);
  }
  template <class T>
  void value(const T& v) {
    static_assert(std::is_arithmetic_v<T>);
    bytes(&v, sizeof v);
  }
  void values(const std::vector<double>& v) {
    value(v.size());
    bytes(v.data(), v.size() * sizeof(double));
  }
  std::string hex() {
    unsigned char h[16];
    crypto_generichash_final(&state_, h, sizeof h);
    char out[33];
    sodium_bin2hex(out, sizeof out, h, sizeof h);
    return out;
  }

 private:
  crypto_generichash_state state_;
};

}  // namespace

std::string plan_id(const Plan& plan) {
  Hash h;
  const auto& p = plan.parameters;
  for (int v : {p.log_n, static_cast<int>(p.kind), p.ciphertext_primes, p.special_primes, p.prime_bits,
                plan.level_primes, plan.tile, plan.batch})
    h.value(v);
  for (const Tensor& t : plan.tensors) {
    for (int v : {t.layout.channels, t.layout.height, t.layout.width, t.layout.phases.h, t.layout.phases.w,
                  t.layout.gap.h, t.layout.gap.w, t.layout.group, t.limbs})
      h.value(v);
    h.value(t.scale);
    h.values(t.moments.channels);
    h.value(t.moments.reach);
    h.values(t.moments.neighbours);
  }
  if (plan.refresh) {
    const bootstrap::RefreshSpec& r = *plan.refresh;
    for (int v : {r.entry_factors, r.exit_factors, r.degree, r.doublings, r.raised_limbs}) h.value(v);
    h.value(r.input_peak);
  }
  for (const Step& s : plan.steps) {
    h.value(s.activation.range);
    h.value(s.activation.gate);
    for (const auto& factor : s.activation.factors) h.values(factor);
    for (int v :
         {s.output, static_cast<int>(s.kind), s.limbs, s.baby, s.extra_primes, s.keep ? 1 : 0, s.spread ? 1 : 0})
      h.value(v);
    h.value(s.scale);
    h.values(s.bias);
    for (const Term& t : s.terms) {
      for (int v : {static_cast<int>(t.kind), t.source, t.kernel_h, t.kernel_w, t.stride_h, t.stride_w, t.pad_top,
                    t.pad_left, t.dilation_h, t.dilation_w, t.even ? 1 : 0})
        h.value(v);
      h.value(t.blocks.size());
      for (const Block& b : t.blocks)
        for (int v : {b.out, b.outs, b.in, b.ins}) h.value(v);
      h.values(t.map);
      h.values(t.weights);
    }
  }
  for (const auto& t : plan.keys.tiers) {
    h.value(t.max_limbs);
    h.value(t.special);
    h.value(t.ephemeral);
  }
  for (const auto& k : plan.keys.keys) {
    h.value(k.tier);
    h.value(k.exponent);
  }
  for (const Probe& probe : plan.probes) {
    for (int v : {probe.tensor, probe.limbs}) h.value(v);
    h.value(probe.alternating);
    h.value(probe.bound);
  }
  h.value(plan.score_bound);
  h.values(plan.io.mean);
  h.values(plan.io.std);
  const Prediction& expected = plan.prediction;
  for (double v :
       {expected.label_agreement, expected.score_error, expected.spread, expected.promised, expected.faint_error})
    h.value(v);
  h.value(expected.images);
  h.value(expected.made_up);
  for (const auto& c : plan.io.classes) h.bytes(c.data(), c.size() + 1);
  return h.hex();
}

}  // namespace sotto::plan
