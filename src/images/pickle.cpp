#include "images/pickle.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace sotto::images {

namespace {

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

constexpr std::size_t kMostValues = 2'000'000;  // a batch of CIFAR-100's training images has some 200,000

// A value on the stack. Containers name their members by index, so that no pickle can build anything endless.
struct Value {
  enum class Kind { none, integer, text, list, tuple, dictionary, mark, name, array, type } kind = Kind::none;
  std::int64_t integer = 0;
  std::string_view text = {};
  std::vector<std::uint32_t> members = {};
};

using Kind = Value::Kind;

// Follows the opcodes as pickletools documents them.
class Machine {
 public:
  explicit Machine(std::span<const unsigned char> file)
      : file_(reinterpret_cast<const char*>(file.data()), file.size()) {}

  // Returns the index of the dictionary.
  std::uint32_t run() {
    while (true) {
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      if (opcode == '.') break;
      step(opcode);
    }
    const std::uint32_t top = pop();
    if (values_[top].kind != Kind::dictionary) fail("it is no dictionary");
    return top;
  }

  [[nodiscard]] const Value& operator[](std::uint32_t index) const { return values_[index]; }

 private:
  std::string_view take(std::size_t bytes) {
    if (bytes > file_.size() - at_) fail("it is truncated");
    at_ += bytes;
    return file_.substr(at_ - bytes, bytes);
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, take(bytes).data(), bytes);
    return value;
  }
  std::string_view line() {
    const std::size_t end = file_.find('\n', at_);
    if (end == std::string_view::npos) fail("it is truncated");
    const auto text = file_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  void push(Value value) {
    if (values_.size() >= kMostValues) fail("it holds too many values");
    stack_.push_back(static_cast<std::uint32_t>(values_.size()));
    values_.push_back(std::move(value));
  }
  void push_text(std::string_view text) { push({Kind::text, 0, text, {}}); }
  void push_integer(std::int64_t value) { push({Kind::integer, value, {}, {}}); }
  std::uint32_t pop() {
    if (stack_.empty()) fail("it is no valid pickle");
    const std::uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  std::vector<std::uint32_t> pop_to_mark() {
    std::size_t first = stack_.size();
    while (first > 0 && values_[stack_[first - 1]].kind != Kind::mark) --first;
    if (first == 0) fail("it is no valid pickle");
    std::vector<std::uint32_t> members(stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
    stack_.resize(first - 1);
    return members;
  }
  Value& top(Kind kind) {
    if (stack_.empty() || values_[stack_.back()].kind != kind) fail("it is no valid pickle");
    return values_[stack_.back()];
  }
  void append(Kind kind, const std::vector<std::uint32_t>& members) {
    auto& list = top(kind).members;
    list.insert(list.end(), members.begin(), members.end());
    if (kind == Kind::dictionary && list.size() % 2 != 0) fail("it is no valid pickle");
  }
  void push_tuple(std::size_t count) {
    std::vector<std::uint32_t> members(count);
    while (count > 0) members[--count] = pop();
    push({Kind::tuple, 0, {}, std::move(members)});
  }
  void remember(std::uint64_t key) {
    if (stack_.empty() || key >= kMostValues) fail("it is no valid pickle");
    memo_.insert_or_assign(key, stack_.back());
  }
  void recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("it is no valid pickle");
    stack_.push_back(found->second);
    if (stack_.size() > kMostValues) fail("it holds too many values");
  }

  void push_name(std::string_view module, std::string_view name) {
    const bool array =
        (module == "numpy.core.multiarray" || module == "numpy._core.multiarray") && name == "_reconstruct";
    if (!array && !(module == "numpy" && (name == "ndarray" || name == "dtype")))
      fail("it wants to run " + readable_text(fmt::format("{}.{}", module.substr(0, 60), name.substr(0, 60))) +
           ", which no file of CIFAR does");
    push({Kind::name, 0, name, {}});
  }
  // A call of one of the names above: an array or a type that is still to be filled.
  void call() {
    const std::uint32_t arguments = pop();
    const Value& function = top(Kind::name);
    if (function.text == "_reconstruct") {
      pop();
      push({Kind::array, 0, {}, {}});
    } else if (function.text == "dtype" && values_[arguments].kind == Kind::tuple &&
               !values_[arguments].members.empty()) {
      const auto text = values_[values_[arguments].members.front()].text;
      pop();
      push({Kind::type, 0, text, {}});
    } else {
      fail("it is no valid pickle");
    }
  }
  // The state of an array: (version, shape, type, is in Fortran order, bytes); that of a type does not matter for
  // bytes.
  void build() {
    const std::uint32_t state = pop();
    if (stack_.empty()) fail("it is no valid pickle");
    Value& object = values_[stack_.back()];
    if (object.kind == Kind::type) return;
    const auto& members = values_[state].members;
    if (object.kind != Kind::array || values_[state].kind != Kind::tuple || members.size() != 5)
      fail("it is no valid pickle");
    const Value &shape = values_[members[1]], &type = values_[members[2]], &bytes = values_[members[4]];
    if (type.kind != Kind::type || type.text != "u1" || values_[members[3]].integer != 0 || bytes.kind != Kind::text)
      fail("its array is not one of uint8 in C order");
    object.text = bytes.text;
    object.members = shape.members;
  }

  void step(unsigned char opcode);

  std::string_view file_;
  std::size_t at_ = 0;
  std::vector<Value> values_;
  std::vector<std::uint32_t> stack_;
  std::map<std::uint64_t, std::uint32_t> memo_;
};

void Machine::step(unsigned char opcode) {
  switch (opcode) {
    case 0x80:  // PROTO
      if (const auto version = number(1); version < 2 || version > 4)
        fail("it is a pickle of protocol " + std::to_string(version));
      break;
    case 0x95:  // FRAME
      number(8);
      break;
    case '(':
      push({Kind::mark, 0, {}, {}});
      break;
    case 'N':
      push({});
      break;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      push_integer(opcode == 0x88 ? 1 : 0);
      break;
    case 'K':
      push_integer(static_cast<std::int64_t>(number(1)));
      break;
    case 'M':
      push_integer(static_cast<std::int64_t>(number(2)));
      break;
    case 'J':
      push_integer(static_cast<std::int32_t>(number(4)));
      break;
    case 'U':   // SHORT_BINSTRING
    case 'C':   // SHORT_BINBYTES
    case 0x8c:  // SHORT_BINUNICODE
      push_text(take(number(1)));
      break;
    case 'T':  // BINSTRING
    case 'B':  // BINBYTES
    case 'X':  // BINUNICODE
      push_text(take(number(4)));
      break;
    case ']':
      push({Kind::list, 0, {}, {}});
      break;
    case '}':
      push({Kind::dictionary, 0, {}, {}});
      break;
    case ')':
      push({Kind::tuple, 0, {}, {}});
      break;
    case 'a': {
      const std::uint32_t member = pop();
      append(Kind::list, {member});
      break;
    }
    case 'e': {
      const auto members = pop_to_mark();
      append(Kind::list, members);
      break;
    }
    case 's': {
      const std::uint32_t value = pop(), key = pop();
      append(Kind::dictionary, {key, value});
      break;
    }
    case 'u': {
      const auto members = pop_to_mark();
      append(Kind::dictionary, members);
      break;
    }
    case 't':
      push({Kind::tuple, 0, {}, pop_to_mark()});
      break;
    case 0x85:  // TUPLE1 to TUPLE3
    case 0x86:
    case 0x87:
      push_tuple(opcode - std::size_t{0x84});
      break;
    case 'q':
      remember(number(1));
      break;
    case 'r':
      remember(number(4));
      break;
    case 0x94:  // MEMOIZE
      remember(memo_.size());
      break;
    case 'h':
      recall(number(1));
      break;
    case 'j':
      recall(number(4));
      break;
    case 'c': {
      const auto module = line();
      push_name(module, line());
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const std::uint32_t name = pop(), module = pop();
      push_name(values_[module].text, values_[name].text);
      break;
    }
    case 'R':
      call();
      break;
    case 'b':
      build();
      break;
    default:
      fail("it is no pickle as those of CIFAR are");
  }
}

}  // namespace

PickledBatch parse_pickle(std::span<const unsigned char> file) {
  Machine machine(file);
  const Value& dictionary = machine[machine.run()];
  PickledBatch batch;
  std::size_t items = 0;  // a small file can name one list very often
  for (std::size_t k = 0; k < dictionary.members.size(); k += 2) {
    const Value &key = machine[dictionary.members[k]], &value = machine[dictionary.members[k + 1]];
    if (key.kind != Kind::text || key.text.size() > 100) continue;
    const std::string name(key.text);
    items += value.members.size();
    if (items > kMostValues) fail("it holds too many values");
    if (value.kind == Kind::array) {
      auto& array = batch.arrays[name];
      array = {{}, value.text};
      for (const auto axis : value.members) array.shape.push_back(static_cast<std::uint64_t>(machine[axis].integer));
    }
    if (value.kind != Kind::list || value.members.empty()) continue;
    const Kind kind = machine[value.members.front()].kind;
    std::vector<std::int64_t> numbers;
    std::vector<std::string_view> texts;
    for (const auto member : value.members) {
      const Value& item = machine[member];
      if (item.kind != kind) fail("a list of it holds different things");
      if (kind == Kind::integer) numbers.push_back(item.integer);
      if (kind == Kind::text) texts.push_back(item.text);
    }
    if (kind == Kind::integer) batch.numbers[name] = std::move(numbers);
    if (kind == Kind::text) batch.texts[name] = std::move(texts);
  }
  return batch;
}

}  // namespace sotto::images
