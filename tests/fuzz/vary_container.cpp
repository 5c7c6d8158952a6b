#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "fuzz/container_input.h"
#include "fuzz/vary.h"

namespace sotto::fuzz {

namespace {

using nlohmann::json;
using Random = std::mt19937;

// Every value in it.
void collect(json& j, std::vector<json*>& all) {
  all.push_back(&j);
  if (j.is_structured())
    for (json& member : j) collect(member, all);
}

json strange(Random& random) {
  const json values[] = {nullptr,
                         true,
                         0,
                         1,
                         -1,
                         2,
                         63,
                         64,
                         65,
                         0.5,
                         1e300,
                         5e-324,
                         1ULL << 32,
                         INT64_MAX,
                         INT64_MIN,
                         UINT64_MAX,
                         "",
                         "training",
                         std::string(64, 'a'),
                         json::array(),
                         json::object(),
                         json::array({1, 2, 3})};
  return values[random() % std::size(values)];
}

void vary(json& header, Random& random) {
  std::vector<json*> all;
  collect(header, all);
  json& chosen = *all[random() % all.size()];
  switch (random() % 5) {
    case 0:
      if (&chosen != &header) chosen = strange(random);
      return;
    case 1:  // a number a little off, or doubled
      if (chosen.is_number_integer()) {
        const auto value = chosen.get<std::uint64_t>();
        const std::uint64_t values[] = {value + 1, value - 1, value * 2, value / 2, value ^ 1ULL << random() % 64};
        chosen = values[random() % std::size(values)];
      } else if (chosen.is_number_float()) {
        const double values[] = {-chosen.get<double>(), chosen.get<double>() * 2, chosen.get<double>() / 3, 0};
        chosen = values[random() % std::size(values)];
      }
      return;
    case 2:  // a member less
      if (chosen.is_structured() && !chosen.empty())
        chosen.erase(std::next(chosen.begin(), static_cast<std::ptrdiff_t>(random() % chosen.size())));
      return;
    case 3:  // an entry twice
      if (chosen.is_array() && !chosen.empty()) chosen.push_back(json(chosen[random() % chosen.size()]));
      return;
    default:  // what stands elsewhere
      if (const json* other = all[random() % all.size()]; &chosen != &header && !other->is_structured())
        chosen = json(*other);
  }
}

}  // namespace

std::size_t vary_json(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, VaryBytes vary_bytes) {
  Random random(seed);
  json text = json::parse(data, data + size, nullptr, false);
  if (text.is_discarded() || random() % 8 == 0) return vary_bytes(data, size, most);
  for (std::size_t k = 1 + random() % 3; k > 0; --k) vary(text, random);
  const std::string varied = text.dump(-1, ' ', true, json::error_handler_t::replace);
  if (varied.size() > most) return vary_bytes(data, size, most);
  std::memcpy(data, varied.data(), varied.size());
  return varied.size();
}

std::size_t vary_container(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed,
                           VaryBytes vary_bytes) {
  Random random(seed);
  ContainerInput in({data, size});
  if (in.header.is_discarded() || random() % 8 == 0) return vary_bytes(data, size, most);
  if (!in.data.empty() && random() % 4 == 0) {
    const std::size_t head = size - in.data.size();
    return head + vary_bytes(data + head, in.data.size(), most - head);
  }
  for (std::size_t k = 1 + random() % 3; k > 0; --k) vary(in.header, random);
  const std::string text = in.header.dump();
  if (text.size() + 1 + in.data.size() > most) return vary_bytes(data, size, most);
  std::memcpy(data, text.data(), text.size());
  data[text.size()] = 0;
  std::ranges::copy(in.data, data + text.size() + 1);
  return text.size() + 1 + in.data.size();
}

}  // namespace sotto::fuzz
