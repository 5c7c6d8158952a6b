#include "fuzz/container_input.h"

#include <algorithm>

#include "fuzz/toy_ring.h"
#include "support/raw_container.h"
#include "wire/json_text.h"

namespace sotto::fuzz {

ContainerInput::ContainerInput(Input input) {
  const auto end = std::find(input.begin(), input.end(), 0);
  text.assign(input.begin(), end);
  if (end != input.end()) data.assign(end + 1, input.end());
  header = wire::parse_json(text, {std::size_t{1} << 20, 1 << 16, 1 << 16});
  if (!header.is_object()) header = nlohmann::json(nlohmann::json::value_t::discarded);
}

test::Bytes ContainerInput::file(wire::Kind kind) {
  if (header.is_discarded()) return test::raw_container(kind, text, data);
  std::vector<test::Bytes> sections;
  auto at = data.begin();
  const nlohmann::json sizes = header.value("sections", nlohmann::json());
  const std::size_t count = sizes.is_array() ? sizes.size() : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto left = static_cast<std::uint64_t>(data.end() - at);
    std::uint64_t bytes = sizes[i].is_number_unsigned() ? std::min(sizes[i].get<std::uint64_t>(), left) : 0;
    if (i + 1 == count) bytes = left;
    sections.emplace_back(at, at + static_cast<std::ptrdiff_t>(bytes));
    at += static_cast<std::ptrdiff_t>(bytes);
  }
  if (sizes.is_array()) {
    header["sections"] = nlohmann::json::array();
    for (const test::Bytes& s : sections) header["sections"].push_back(s.size());
  }
  test::Bytes file = test::raw_container(kind, header.dump(), sections);
  static const signing::SigningKey owner = toy_owner().signing_key();
  if (const auto signer = header.find("signer");
      signer != header.end() && *signer == signing::to_text(owner.verification_key()))
    test::sign_container(file, sections, owner);
  return file;
}

test::Bytes container_input_of(const test::Bytes& file, wire::Kind kind) {
  const wire::FileReader reader(Source(file), kind);
  const std::string text = reader.header().dump();
  test::Bytes input(text.begin(), text.end());
  input.push_back(0);
  for (std::size_t i = 0; i < reader.sections(); ++i) {
    test::Bytes section(reader.section_bytes(i));
    reader.read(i, section);
    input.insert(input.end(), section.begin(), section.end());
  }
  return input;
}

}  // namespace sotto::fuzz
