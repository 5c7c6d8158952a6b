#include "plan/gradient.h"

#include <algorithm>

#include "plan/interpret.h"
#include "plan/term_rows.h"

namespace sotto::plan {

namespace {

// Adds to the gradient of a term's source what the gradient of the sum gives it.
void add_transposed(const Term& term, const Layout& in, const Layout& out, const std::vector<double>& sum,
                    std::vector<double>& source) {
  for_each_row(term, in, out, [&](const TermRow& r) {
    const double* from = sum.data() + r.destination;
    double* to = source.data() + r.source;
    for (int k = 0; k < r.count; ++k)
      to[static_cast<std::ptrdiff_t>(k) * r.stride] += r.weight * (r.factor == nullptr ? 1 : r.factor[k]) * from[k];
  });
}

// d finish(u) / du, for one value of a step's sum.
double slope(const Step& step, double u) {
  if (step.finish == Step::Finish::square) return 2 * u;
  if (step.finish != Step::Finish::activate) return 1;
  const double h = 1e-5 * step.activation.range;
  return (step.activation(u + h) - step.activation(u - h)) / (2 * h);
}

}  // namespace

const std::vector<double>& Trace::scores(const Plan& plan) const {
  return tensors[static_cast<std::size_t>(plan.steps.back().output)];
}

Trace trace(const Plan& plan, std::span<const double> image) {
  Trace run{std::vector<std::vector<double>>(plan.tensors.size()), std::vector<std::vector<double>>(plan.steps.size())};
  Hooks hooks;
  hooks.input = [&](std::vector<double>& v) { run.tensors[0] = v; };
  hooks.sum = [&](int s, std::vector<double>& v) {
    const Step& step = plan.steps[static_cast<std::size_t>(s)];
    if (step.finish == Step::Finish::activate)
      for (double& x : v) x = std::clamp(x, -step.activation.range, step.activation.range);
    run.sums[static_cast<std::size_t>(s)] = v;
  };
  hooks.result = [&](int s, std::vector<double>& v) {
    run.tensors[static_cast<std::size_t>(plan.steps[static_cast<std::size_t>(s)].output)] = v;
  };
  interpret(plan, image, hooks);
  return run;
}

Trace gradient(const Plan& plan, const Trace& run, std::span<const double> direction) {
  Trace out{{}, std::vector<std::vector<double>>(plan.steps.size())};
  for (const auto& values : run.tensors) out.tensors.emplace_back(values.size());
  out.tensors[static_cast<std::size_t>(plan.steps.back().output)].assign(direction.begin(), direction.end());
  for (std::size_t s = plan.steps.size(); s-- > 0;) {
    const Step& step = plan.steps[s];
    std::vector<double>& sum = out.sums[s];
    sum = out.tensors[static_cast<std::size_t>(step.output)];
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] *= slope(step, run.sums[s][k]);
    for (const Term& term : step.terms) {
      std::vector<double>& source = out.tensors[static_cast<std::size_t>(term.source)];
      if (step.slotwise()) {
        for (std::size_t k = 0; k < sum.size(); ++k) source[k] += sum[k];
        continue;
      }
      add_transposed(term, plan.tensors[static_cast<std::size_t>(term.source)].layout,
                     plan.tensors[static_cast<std::size_t>(step.output)].layout, sum, source);
    }
  }
  return out;
}

}  // namespace sotto::plan
