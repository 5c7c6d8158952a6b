#pragma once

#include <string>
#include <vector>

#include "support/chunks.h"

namespace sotto::test {

/// A pickle of a dictionary, opcode by opcode:
/// what Python 2's cPickle wrote (protocol 2), or what Python 3 writes (protocol 4).
class Pickler {
 public:
  explicit Pickler(int protocol) : modern_(protocol > 2) {
    out_ = {0x80, static_cast<unsigned char>(protocol)};
    op('}');
    put();
    op('(');
  }
  void text(const std::string& t) {
    op(modern_ ? 0x8c : 'U');
    append(out_, little_endian(t.size(), 1));
    append(out_, t);
    put();
  }
  void bytes(const Bytes& b) {
    op(modern_ ? 'B' : 'T');
    append(out_, little_endian(b.size(), 4));
    append(out_, b);
    put();
  }
  void number(int n) {
    op(n < 256 ? 'K' : 'M');
    append(out_, little_endian(static_cast<std::uint64_t>(n), n < 256 ? 1 : 2));
  }
  void labels(const std::string& key, const std::vector<int>& labels) {
    text(key);
    op(']');
    put();
    op('(');
    for (int l : labels) number(l);
    op('e');
  }
  void names(const std::string& key, const std::vector<std::string>& names) {
    text(key);
    op(']');
    put();
    op('(');
    for (const auto& n : names) text(n);
    op('e');
  }
  void global(const std::string& module, const std::string& name) {
    if (modern_) {
      text(module);
      text(name);
      op(0x93);
    } else {
      append(out_, "c" + module + "\n" + name + "\n");
    }
    put();
  }
  void data(const Bytes& pixels, int rows, int columns) {
    text("data");
    global("numpy.core.multiarray", "_reconstruct");
    global("numpy", "ndarray");
    number(0);
    op(0x85);
    put();
    text("b");
    op(0x87);
    put();
    op('R');
    put();
    op('(');
    number(1);
    number(rows);
    number(columns);
    op(0x86);
    put();
    global("numpy", "dtype");
    text("u1");
    number(0);
    number(1);
    op(0x87);
    put();
    op('R');
    put();
    op('(');
    number(3);
    text("|");
    for (int k = 0; k < 3; ++k) op('N');
    for (int k = 0; k < 2; ++k) {
      op('J');
      append(out_, little_endian(0xffffffff, 4));
    }
    number(0);
    op('t');
    put();
    op('b');
    op(0x89);
    bytes(pixels);
    op('t');
    put();
    op('b');
  }
  Bytes finish() {
    op('u');
    op('.');
    return out_;
  }
  void op(int code) { out_.push_back(static_cast<unsigned char>(code)); }

 private:
  void put() {
    if (modern_) return op(0x94);
    op('q');
    op(memo_++ & 255);
  }

  bool modern_;
  int memo_ = 0;
  Bytes out_;
};

}  // namespace sotto::test
