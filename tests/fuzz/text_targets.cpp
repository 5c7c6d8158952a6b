// JSON and TOML.
#include <nlohmann/json.hpp>

#include "client/input_record.h"
#include "client/releases.h"
#include "fuzz/targets.h"
#include "support/files.h"
#include "training/spec.h"
#include "wire/json_text.h"

namespace sotto::fuzz {

namespace {

// What a text has, counted after it was read.
struct Counts {
  std::size_t values = 0, containers = 0, depth = 0;

  explicit Counts(const nlohmann::json& j, std::size_t above = 1) {
    values = 1;
    if (j.is_string()) containers = 1;
    if (!j.is_structured()) return;
    containers = 1;
    depth = above;
    for (const auto& [name, member] : j.items()) {
      const Counts inside(member, above + 1);
      values += inside.values;
      containers += inside.containers + (j.is_object() ? 1 : 0);
      depth = std::max(depth, inside.depth);
    }
  }
};

}  // namespace

bool read_json(Input input) {
  const std::span text(reinterpret_cast<const char*>(input.data()), input.size());
  const wire::JsonLimits limits{1 << 12, 64, 32, 8};
  const bool fits = wire::fits(text, limits);
  const nlohmann::json parsed = wire::parse_json(text, limits);
  require(fits == !parsed.is_discarded(), "a text within the limits is read, another is not");
  if (!fits) return false;
  const Counts found(parsed);
  require(found.values <= limits.values && found.containers <= limits.containers && found.depth <= limits.depth,
          "a text beyond the limits");
  return true;
}

bool read_spec(Input input) {
  return accepts([&] { training::verify(training::parse_spec({input.begin(), input.end()}, "SPEC.toml")); });
}

bool read_input_record(Input input) {
  static const test::TempFolder folder;
  const std::string id(32, '0');
  std::filesystem::create_directories(folder / "inputs");
  test::write_bytes(folder / ("inputs/" + id + ".json"), {input.begin(), input.end()});
  return accepts([&] {
    const auto record = client::read_input_record(folder.path(), id);
    require(record.has_value(), "a record that is taken for none");
    // It is written again whenever results are decrypted.
    client::write_input_record(folder.path(), id, *record);
    const auto again = client::read_input_record(folder.path(), id);
    require(again && again->count == record->count && again->digest == record->digest &&
                again->results == record->results && again->sources.size() == record->sources.size(),
            "a record that comes back as another");
  });
}

bool read_release(Input input) {
  static const test::TempFolder folder;
  const std::filesystem::path records = folder / "releases";
  std::filesystem::remove_all(records);
  std::filesystem::create_directories(records);
  // The name that it must have, as far as it says what makes that.
  client::Release named{"", "", "", "", 0, {}, {}};
  const auto j = nlohmann::json::parse(input.begin(), input.end(), nullptr, false);
  try {
    const auto& images = j.at("images");
    named = {j.at("key_id"),
             j.at("what"),
             j.at("deviation"),
             j.at("plan_id"),
             images.is_number_unsigned() ? images.get<std::uint64_t>() : 0,
             j.at("ciphertexts"),
             j.at("divergence")};
  } catch (const nlohmann::json::exception&) {
  }
  test::write_bytes(records / (named.id() + ".json"), {input.begin(), input.end()});
  // Another one under that key, which tells nothing itself.
  const client::Release next{named.key_id, "scores", "1", std::string(32, 'p'), 1, {"another ciphertext"}, {}};
  return accepts([&] {
    const client::Remembered all = client::remember_release(folder.path(), next, {});
    require(!all.again, "a release of other ciphertexts");
    for (const double d : all.together) require(d >= 0, "what was published before makes a release safer");
    require(client::remember_release(folder.path(), next, {}).again, "a release that is not remembered");
  });
}

}  // namespace sotto::fuzz
