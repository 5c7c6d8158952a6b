#include "training/spec.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace sotto::training {

namespace {

constexpr int kMostClasses = 65536;
constexpr int kMostImages = 131'072, kMostSteps = 1'000'000;
constexpr double kMostRate = 1000, kMostRange = 1'000'000;
constexpr std::size_t kMostEntries = 1000;  // of a list
constexpr std::int64_t kMostSummed = 1 << 24;
constexpr int kMostRank = 1024;

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::bad_input, message); }

void check_integer(const char* key, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) fail(fmt::format("{} must be an integer from {} to {}", key, least, most));
}

// Above 0 and at most `most`.
void check_positive(const char* key, double value, double most) {
  if (!(value > 0 && value <= most)) fail(fmt::format("{} must be above 0 and at most {:g}", key, most));
}

// One table of the file: gives out the values of its keys, and knows which ones nobody asked for.
class Table {
 public:
  // prefix: of the keys, in messages.
  Table(const toml::table& table, std::string prefix) : table_(table), prefix_(std::move(prefix)) {}

  // Each of these leaves `out` as it is if the key is not there.
  void read(const char* key, double& out) {
    if (const toml::node* n = find(key)) {
      const auto value = n->value<double>();  // an integer is a number, too
      if (!n->is_number() || !value) wrong(key, "a number");
      out = *value;
    }
  }
  void read(const char* key, bool& out) {
    if (const toml::node* n = find(key)) {
      const auto value = n->value_exact<bool>();
      if (!value) wrong(key, "true or false");
      out = *value;
    }
  }
  void read(const char* key, std::uint64_t& out) {
    if (const auto value = integer(key)) {
      if (*value < 0) wrong(key, "an integer, 0 or above");
      out = static_cast<std::uint64_t>(*value);
    }
  }
  void read(const char* key, int& out, int least, int most) {
    if (const auto value = integer(key)) {
      check_integer((prefix_ + key).c_str(), *value, least, most);
      out = static_cast<int>(*value);
    }
  }
  void read(const char* key, std::string& out) {
    if (const toml::node* n = find(key)) {
      const auto value = n->value_exact<std::string>();
      if (!value) wrong(key, "a text, \"...\"");
      out = *value;
    }
  }
  void read(const char* key, std::vector<std::string>& out) {
    const toml::node* n = find(key);
    if (n == nullptr) return;
    if (!n->is_array()) wrong(key, "a list of names, [\"conv1\", \"fc\"]");
    for (const toml::node& item : *n->as_array()) {
      const auto name = item.value_exact<std::string>();
      if (!name) wrong(key, "a list of names, [\"conv1\", \"fc\"]");
      out.push_back(*name);
    }
    if (out.empty()) fail(prefix_ + key + " is empty: name layers, or leave it out to train all");
  }
  // A key that has one of two values: whether it is the second one.
  bool second(const char* key, const std::string& first, const std::string& second) {
    const toml::node* n = find(key);
    if (n == nullptr || n->value_exact<std::string>() == first) return false;
    if (n->value_exact<std::string>() != second) wrong(key, fmt::format("\"{}\" or \"{}\"", first, second).c_str());
    return true;
  }
  [[nodiscard]] const toml::table* table(const char* key) {
    const toml::node* n = find(key);
    if (n != nullptr && !n->is_table()) wrong(key, fmt::format("a table, [{}]", key).c_str());
    return n == nullptr ? nullptr : n->as_table();
  }
  [[nodiscard]] std::vector<const toml::table*> tables(const char* key) {
    std::vector<const toml::table*> out;
    const toml::node* n = find(key);
    const std::string what = fmt::format("tables, [[{}]]", key);
    if (n != nullptr && !n->is_array()) wrong(key, what.c_str());
    if (n != nullptr)
      for (const toml::node& item : *n->as_array()) {
        if (!item.is_table()) wrong(key, what.c_str());
        out.push_back(item.as_table());
      }
    return out;
  }
  [[nodiscard]] bool has(const char* key) const { return table_.contains(key); }

  // To be called when all keys have been asked for.
  void refuse_others() const {
    for (const auto& [key, value] : table_) {
      if (known_.contains(std::string(key))) continue;
      std::string list;
      for (const std::string& k : known_) list += (list.empty() ? "" : ", ") + k;
      fail(fmt::format("unknown key '{}{}'; there are {}", prefix_, std::string(key), list));
    }
  }

 private:
  const toml::node* find(const char* key) {
    known_.insert(key);
    return table_.get(key);
  }
  [[nodiscard]] std::optional<std::int64_t> integer(const char* key) {
    const toml::node* n = find(key);
    if (n == nullptr) return std::nullopt;
    if (!n->is_integer()) wrong(key, "an integer");
    return n->value_exact<std::int64_t>();
  }
  [[noreturn]] void wrong(const char* key, const char* right) const { fail(prefix_ + key + " must be " + right); }

  const toml::table& table_;
  std::string prefix_;
  std::set<std::string> known_;
};

Spec read(const toml::table& file) {
  Spec spec;
  Table top(file, "");
  if (file.empty()) fail("it is empty: write at least steps = and batch = with a number each");
  for (const char* key : {"steps", "batch"})
    if (!top.has(key)) fail(fmt::format("{0} is missing: write {0} = and a number", key));
  top.read("layers", spec.layers);
  top.read("new_head", spec.new_head, 2, kMostClasses);
  for (const toml::table* found : top.tables("adapter")) {
    Table adapter(*found, "adapter.");
    for (const char* key : {"layer", "rank"})
      if (!adapter.has(key)) fail(fmt::format("a table [[adapter]] lacks {}", key));
    Adapter& a = spec.adapters.emplace_back();
    adapter.read("layer", a.layer);
    adapter.read("rank", a.rank, 1, kMostRank);
    adapter.refuse_others();
  }
  if (top.second("loss", "squared-error", "softmax")) spec.loss = Spec::Loss::softmax;
  top.read("steps", spec.steps, 1, kMostSteps);
  top.read("batch", spec.batch, 1, kMostImages);
  top.read("seed", spec.seed);
  if (const toml::table* found = top.table("optimiser")) {
    Table optimiser(*found, "optimiser.");
    if (optimiser.second("name", "sgd", "normal-equations")) {
      spec.optimiser = Spec::Optimiser::normal_equations;
      optimiser.read("ridge", spec.ridge);
    } else {
      optimiser.read("rate", spec.rate);
      optimiser.read("momentum", spec.momentum);
      optimiser.read("nesterov", spec.nesterov);
      optimiser.read("weight_decay", spec.weight_decay);
    }
    optimiser.refuse_others();
  }
  if (spec.optimiser == Spec::Optimiser::normal_equations) {
    for (const char* key : {"range", "schedule"})
      if (top.has(key)) fail(fmt::format("{} means nothing to normal equations: leave it out", key));
    top.refuse_others();
    verify(spec);
    return spec;
  }
  top.read("range", spec.range);
  for (const toml::table* found : top.tables("schedule")) {
    Table change(*found, "schedule.");
    for (const char* key : {"step", "factor"})
      if (!change.has(key)) fail(fmt::format("a table [[schedule]] lacks {}", key));
    RateChange& c = spec.schedule.emplace_back();
    change.read("step", c.step, 0, kMostSteps);
    change.read("factor", c.factor);
    change.refuse_others();
  }
  top.refuse_others();
  verify(spec);
  return spec;
}

}  // namespace

void verify(const Spec& spec) {
  if (spec.layers.size() > kMostEntries || spec.schedule.size() > kMostEntries || spec.adapters.size() > kMostEntries)
    fail(fmt::format("there may be {0} layers, tables [[schedule]] and tables [[adapter]] each at most", kMostEntries));
  std::set<std::string> names;
  for (const std::string& name : spec.layers) {
    if (name.empty()) fail("layers holds an empty name");
    if (!names.insert(name).second) fail("layers names '" + readable_text(name) + "' twice");
  }
  std::set<std::string> adapted;
  for (const Adapter& a : spec.adapters) {
    check_integer("adapter.rank", a.rank, 1, kMostRank);
    if (!adapted.insert(a.layer).second) fail("two adapters are for '" + readable_text(a.layer) + "'");
    if (names.contains(a.layer)) fail("'" + readable_text(a.layer) + "' is in layers and has an adapter: drop one");
  }
  if (spec.new_head != 0) check_integer("new_head", spec.new_head, 2, kMostClasses);
  check_integer("steps", spec.steps, 1, kMostSteps);
  check_integer("batch", spec.batch, 1, kMostImages);
  check_positive("range", spec.range, kMostRange);
  check_positive("optimiser.rate", spec.rate, kMostRate);
  if (!(spec.momentum >= 0 && spec.momentum < 1)) fail("optimiser.momentum must be at least 0 and below 1");
  if (spec.nesterov && spec.momentum == 0) fail("optimiser.nesterov needs a momentum above 0");
  if (!(spec.weight_decay >= 0 && spec.weight_decay <= 1)) fail("optimiser.weight_decay must be from 0 to 1");
  if (spec.optimiser == Spec::Optimiser::normal_equations) {
    if (spec.loss != Spec::Loss::squared_error) fail("normal equations have the loss \"squared-error\"");
    if (std::int64_t{spec.batch} * spec.steps > kMostSummed)
      fail(fmt::format("normal equations add up {} images at most: lower batch or steps", kMostSummed));
  }
  check_positive("optimiser.ridge", spec.ridge, kMostRate);
  double rate = spec.rate;
  for (std::size_t k = 0; k < spec.schedule.size(); ++k) {
    check_integer("schedule.step", spec.schedule[k].step, 0, kMostSteps);
    check_positive("schedule.factor", spec.schedule[k].factor, kMostRate);
    rate *= spec.schedule[k].factor;
    if (rate > kMostRate) fail(fmt::format("the factors of [[schedule]] raise the rate above {:g}", kMostRate));
    if (k > 0 && spec.schedule[k].step <= spec.schedule[k - 1].step)
      fail("the steps of the tables [[schedule]] must ascend");
  }
}

Spec parse_spec(const std::string& toml, const std::string& name) {
  try {
    return read(toml::parse(toml));
  } catch (const toml::parse_error& e) {
    fail(readable_text(
        fmt::format("{}: line {} is no TOML: {}", name, e.source().begin.line, std::string(e.description()))));
  } catch (const Error& e) {
    throw Error(e.code(), readable_text(name + ": " + e.what()));
  }
}

Spec read_spec(const std::filesystem::path& path) {
  const auto refuse = [&] { fail(readable_text(path.string()) + ": cannot read: there must be a file of TOML"); };
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) refuse();  // opening a pipe would wait for its writer
  std::ifstream in = open_to_read(path);
  std::ostringstream text;
  // Copying nothing counts as a failure, and an empty file has nothing.
  const auto copied = [&] {
    return in.peek() == std::ifstream::traits_type::eof() ? !in.fail() : !!(text << in.rdbuf());
  };
  if (!copied()) refuse();
  return parse_spec(text.str(), path.string());
}

}  // namespace sotto::training
