#include "plan/products.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "circuit/term.h"

namespace sotto::plan {

namespace {

using Rows = std::pair<int, int>;  // first, count
using Columns = Product::Columns;

}  // namespace

std::size_t Product::width() const {
  std::size_t sum = 0;
  for (const Columns& c : columns) sum += static_cast<std::size_t>(c.count);
  return sum;
}

std::vector<Product> products_of(const Plan& plan, const Task& task) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  std::map<Rows, std::vector<Columns>> parts;
  for (std::size_t k = 0; k < task.taps.size(); ++k) {
    const Term& term = step.terms[static_cast<std::size_t>(task.taps[k].term)];
    const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
    for (const Block& b : blocks_of(term, in, out))
      parts[{b.out, b.outs}].push_back({static_cast<int>(k), b.in, b.ins});
  }
  parts.try_emplace({0, out.channels});
  // The largest begin the sums of their rows.
  std::vector<std::pair<Rows, std::vector<Columns>>> order(parts.begin(), parts.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::tuple(!a.second.empty(), a.first.second) > std::tuple(!b.second.empty(), b.first.second);
  });
  std::vector<Product> products;
  std::vector<bool> begun(static_cast<std::size_t>(out.channels));
  for (const auto& [rows, columns] : order) {
    const int end = rows.first + rows.second;
    for (int row = rows.first; row < end;) {
      const bool first = !begun[static_cast<std::size_t>(row)];
      int next = row;
      while (next < end && begun[static_cast<std::size_t>(next)] != first) ++next;
      std::fill(begun.begin() + row, begun.begin() + next, true);
      if (first || !columns.empty()) products.push_back({row, next - row, columns, first});
      row = next;
    }
  }
  return products;
}

}  // namespace sotto::plan
