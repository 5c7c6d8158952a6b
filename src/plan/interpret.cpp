#include "plan/interpret.h"

#include "base/error.h"
#include "plan/term_rows.h"

namespace sotto::plan {

namespace {

void add_term(const Plan& plan, const Term& term, const Layout& out, const std::vector<double>& in_values,
              std::vector<double>& sum) {
  for_each_row(term, plan.tensors[term.source].layout, out, [&](const TermRow& r) {
    const double* src = in_values.data() + r.source;
    double* dst = sum.data() + r.destination;
    if (r.factor != nullptr) {
      for (int k = 0; k < r.count; ++k)
        dst[k] += r.factor[k] * r.weight * src[static_cast<std::ptrdiff_t>(k) * r.stride];
    } else if (r.stride == 1) {
      for (int k = 0; k < r.count; ++k) dst[k] += r.weight * src[k];
    } else {
      for (int k = 0; k < r.count; ++k) dst[k] += r.weight * src[static_cast<std::ptrdiff_t>(k) * r.stride];
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
