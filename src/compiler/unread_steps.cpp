#include "compiler/unread_steps.h"

#include <utility>
#include <vector>

namespace sotto::compiler {

void drop_unread_steps(plan::Plan& lowered) {
  std::vector<bool> read(lowered.tensors.size());
  read[0] = true;
  read[static_cast<std::size_t>(lowered.steps.back().output)] = true;
  for (std::size_t s = lowered.steps.size(); s-- > 0;)
    if (read[static_cast<std::size_t>(lowered.steps[s].output)])
      for (const plan::Term& t : lowered.steps[s].terms) read[static_cast<std::size_t>(t.source)] = true;
  std::vector<int> place(read.size());
  std::vector<plan::Tensor> tensors;
  for (std::size_t t = 0; t < read.size(); ++t) {
    place[t] = static_cast<int>(tensors.size());
    if (read[t]) tensors.push_back(std::move(lowered.tensors[t]));
  }
  lowered.tensors = std::move(tensors);
  std::erase_if(lowered.steps, [&](const plan::Step& s) { return !read[static_cast<std::size_t>(s.output)]; });
  for (plan::Step& s : lowered.steps) {
    s.output = place[static_cast<std::size_t>(s.output)];
    for (plan::Term& t : s.terms) t.source = place[static_cast<std::size_t>(t.source)];
  }
}

}  // namespace sotto::compiler
