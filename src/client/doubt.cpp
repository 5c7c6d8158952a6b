#include "client/doubt.h"

#include <fmt/format.h>

#include <algorithm>

namespace sotto {

std::string text_of(Doubt doubt) {
  switch (doubt) {
    case Doubt::none:
      break;
    case Doubt::error:
      return "best scores too close";
    case Doubt::neighbour:
      return "a neighbour left the range";
    case Doubt::score:
      return "scores beyond all expectation";
    case Doubt::range:
      return "left the range";
    case Doubt::spoiled:
      return "batch spoiled";
    case Doubt::damaged:
      return "batch damaged";
  }
  return "";
}

}  // namespace sotto

namespace sotto::client {

namespace {

// "3, 5 to 8, 11, ..": at most `most` pieces.
std::string ranges(const std::vector<std::size_t>& numbers, std::size_t most) {
  std::string out;
  std::size_t pieces = 0;
  for (std::size_t k = 0; k < numbers.size();) {
    std::size_t last = k;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (pieces++ == most) return out + ", ..";
    if (!out.empty()) out += ", ";
    out += std::to_string(numbers[k]);
    if (last > k) out += fmt::format(" to {}", numbers[last]);
    k = last + 1;
  }
  return out;
}

}  // namespace

std::vector<std::size_t> doubtful(const std::vector<Doubt>& doubts) {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < doubts.size(); ++i)
    if (doubts[i] != Doubt::none) list.push_back(i);
  return list;
}

std::string summary_of(const std::vector<Doubt>& doubts, std::size_t batch) {
  const std::vector<std::size_t> list = doubtful(doubts);
  if (list.empty()) return "";
  constexpr std::size_t kMostPieces = 12;
  std::string out = fmt::format("{} of {} results are doubtful: image{} {}", list.size(), doubts.size(),
                                list.size() == 1 ? "" : "s", ranges(list, kMostPieces));
  std::vector<std::size_t> batches;
  for (std::size_t i : list)
    if (batches.empty() || batches.back() != i / batch) batches.push_back(i / batch);
  if (doubts.size() > batch)
    out += fmt::format(" (batch{} {})", batches.size() == 1 ? "" : "es", ranges(batches, kMostPieces));
  std::string causes;
  for (Doubt d : {Doubt::damaged, Doubt::spoiled, Doubt::range, Doubt::score, Doubt::neighbour, Doubt::error})
    if (const auto n = std::count(doubts.begin(), doubts.end(), d); n > 0)
      causes += fmt::format("{}{} {}", causes.empty() ? "" : ", ", n, text_of(d));
  out += ": " + causes;
  if (std::ranges::count(doubts, Doubt::spoiled) > 0)
    out += std::ranges::count(doubts, Doubt::range) > 0
               ? "; encrypt the others again without those that left the range"
               : "; some image is unlike those that the plan was measured on: run the batch again in parts to find it";
  if (std::ranges::count(doubts, Doubt::error) > 0)
    out += "; a plan that is calibrated on images like these predicts errors better";
  return out;
}

}  // namespace sotto::client
