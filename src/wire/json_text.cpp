#include "wire/json_text.h"

#include <cstdint>
#include <string>

namespace sotto::wire {

namespace {

using nlohmann::json;

// Counts what a parser finds; returning false ends the parser.
class Counter : public nlohmann::json_sax<json> {
 public:
  explicit Counter(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value() && container(); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t&) override { return container(); }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override { return false; }

 private:
  bool value() { return ++values_ <= limits_.values; }
  bool container() { return ++containers_ <= limits_.containers; }
  bool open() { return ++depth_ <= limits_.depth && value() && container(); }
  bool close() {
    --depth_;
    return true;
  }

  const JsonLimits& limits_;
  std::size_t values_ = 0, containers_ = 0, depth_ = 0;
};

}  // namespace

bool fits(std::span<const char> text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) return false;
  Counter counter(limits);
  return json::sax_parse(text.begin(), text.end(), &counter);
}

json parse_json(std::span<const char> text, const JsonLimits& limits) {
  if (!fits(text, limits)) return json(json::value_t::discarded);
  return json::parse(text.begin(), text.end(), nullptr, false);
}

}  // namespace sotto::wire
