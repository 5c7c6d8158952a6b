#include "plan/products.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "circuit/term.h"

namespace sotto::plan {

namespace {

using Rows = std::pair<int, int>;  // first, count
using Columns = Product::Columns;

using Part = std::pair<Rows, std::vector<Columns>>;

// Parts as products in an order in which every row begins once. One without columns has all rows.
std::vector<Product> one_after_the_other(std::vector<Part> order, std::size_t rows_in_all) {
  // The largest begin the sums of their rows.
  std::ranges::stable_sort(order, [](const Part& a, const Part& b) {
    return std::tuple(!a.second.empty(), a.first.second) > std::tuple(!b.second.empty(), b.first.second);
  });
  std::vector<Product> products;
  std::vector<bool> begun(rows_in_all);
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
  return one_after_the_other({parts.begin(), parts.end()}, static_cast<std::size_t>(out.channels));
}

namespace {

using Connected = std::map<int, std::set<std::pair<int, int>>>;

std::vector<Connected> connected_terms(const Plan& plan, const Step& step) {
  std::vector<Connected> terms;
  for (const Term& t : step.terms) terms.push_back(connected_in_gaps(plan, step, t));
  return terms;
}

}  // namespace

std::vector<GiantRow> giant_rows(const Plan& plan, const Task& task) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const int blocks = plan.tensors[static_cast<std::size_t>(step.output)].layout.blocks();
  std::set<std::pair<int, int>> rows;  // giant step, block
  for (int b = 0; b < blocks; ++b) rows.insert({0, b});
  for (const Connected& term : connected_terms(plan, step))
    for (const auto& [way, pairs] : term)
      for (const auto& [to, from] : pairs) rows.insert({way, to});
  std::vector<GiantRow> list;
  for (const auto& [way, block] : rows) list.push_back({way, block});
  return list;
}

std::vector<Product> products_in_gaps(const Plan& plan, const Task& task, std::span<const GiantRow> rows) {
  const std::vector<Connected> terms = connected_terms(plan, plan.steps[static_cast<std::size_t>(task.step)]);
  const auto columns_of = [&](const GiantRow& row, std::size_t term) {
    std::vector<Columns> columns;
    const auto pairs = terms[term].find(row.giant);
    if (pairs == terms[term].end()) return columns;
    for (std::size_t k = 0; k < task.taps.size(); ++k) {
      if (task.taps[k].term != static_cast<int>(term)) continue;
      for (auto p = pairs->second.lower_bound({row.block, 0}); p != pairs->second.end() && p->first == row.block; ++p) {
        const bool next = !columns.empty() && columns.back().tap == static_cast<int>(k) &&
                          columns.back().channel + columns.back().count == p->second;
        if (!next) columns.push_back({static_cast<int>(k), p->second, 0});
        ++columns.back().count;
      }
    }
    return columns;
  };
  std::vector<Part> parts;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    for (int r = 0; r < static_cast<int>(rows.size()); ++r) {
      std::vector<Columns> columns = columns_of(rows[static_cast<std::size_t>(r)], t);
      if (columns.empty()) continue;
      const bool same =
          !parts.empty() && parts.back().first.first + parts.back().first.second == r && parts.back().second == columns;
      if (!same) parts.push_back({{r, 0}, std::move(columns)});
      ++parts.back().first.second;
    }
  }
  parts.push_back({{0, static_cast<int>(rows.size())}, {}});
  return one_after_the_other(std::move(parts), rows.size());
}

}  // namespace sotto::plan
