#include "plan/interpret.h"

#include "base/error.h"
#include "base/index.h"
#include "plan/term.h"

namespace sotto::plan {

namespace {

void add_term(const Plan& plan, const Term& term, const Layout& out, const std::vector<double>& in_values,
              std::vector<double>& sum) {
  const Layout& in = plan.tensors[term.source].layout;
  const bool full = term.kind == Term::Kind::full;
  const int kh = full ? in.height : term.kernel_h, kw = full ? in.width : term.kernel_w;
  const std::size_t in_plane = static_cast<std::size_t>(in.height) * in.width;
  const std::size_t out_plane = static_cast<std::size_t>(out.height) * out.width;
  for_each_pair(term, in, out, [&](int o, int i, const double* weights) {
    for (int ky = 0; ky < kh; ++ky) {
      for (int kx = 0; kx < kw; ++kx) {
        const double w = weights[ky * kw + kx];
        if (w == 0) continue;
        const int dy = ky * term.dilation_h - term.pad_top, dx = kx * term.dilation_w - term.pad_left;
        const auto rows = inside(out.height, term.stride_h, dy, in.height);
        const auto columns = inside(out.width, term.stride_w, dx, in.width);
        for (int y = rows.first; y < rows.last; ++y) {
          const double* src = in_values.data() + i * in_plane + (y * term.stride_h + dy) * in.width;
          double* dst = sum.data() + o * out_plane + y * out.width;
          if (!term.map.empty()) {
            const double* factor = term.map.data() + y * out.width;
            for (int x = columns.first; x < columns.last; ++x) dst[x] += factor[x] * w * src[x * term.stride_w + dx];
          } else if (term.stride_w == 1) {
            for (int x = columns.first; x < columns.last; ++x) dst[x] += w * src[x + dx];
          } else {
            for (int x = columns.first; x < columns.last; ++x) dst[x] += w * src[x * term.stride_w + dx];
          }
        }
      }
    }
  });
}

}  // namespace

std::vector<double> interpret(const Plan& plan, std::span<const double> image, const Hooks& hooks) {
  std::vector<std::vector<double>> values(plan.tensors.size());
  const Layout& input = plan.input().layout;
  check(image.size() == static_cast<std::size_t>(input.channels) * input.height * input.width, "image of another size");
  values[0].assign(image.begin(), image.end());
  if (hooks.input) hooks.input(values[0]);
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    const Layout& out = plan.tensors[step.output].layout;
    const std::size_t plane = static_cast<std::size_t>(out.height) * out.width;
    std::vector<double> sum(out.channels * plane);
    if (step.slotwise()) {
      sum = values[step.terms.front().source];
      if (hooks.sum) hooks.sum(static_cast<int>(s), sum);
      if (step.finish == Step::Finish::activate)
        for (double& v : sum) v = step.activation(v);
      if (hooks.result) hooks.result(static_cast<int>(s), sum);
      values[step.output] = std::move(sum);
      continue;
    }
    const bool per_channel = step.bias.size() == static_cast<std::size_t>(out.channels);
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] = step.bias[per_channel ? k / plane : k];
    for (const Term& term : step.terms) add_term(plan, term, out, values[term.source], sum);
    if (hooks.sum) hooks.sum(static_cast<int>(s), sum);
    if (step.finish == Step::Finish::square)
      for (double& v : sum) v *= v;
    if (hooks.result) hooks.result(static_cast<int>(s), sum);
    values[step.output] = std::move(sum);
  }
  return values[plan.steps.back().output];
}

std::vector<double> interpret(const Plan& plan, std::span<const double> image,
                              const std::function<void(int, std::span<const double>)>& observe) {
  Hooks hooks;
  if (observe) {
    hooks.input = [&](std::vector<double>& v) { observe(0, v); };
    hooks.result = [&](int s, std::vector<double>& v) { observe(plan.steps[static_cast<std::size_t>(s)].output, v); };
  }
  return interpret(plan, image, hooks);
}

}  // namespace sotto::plan
