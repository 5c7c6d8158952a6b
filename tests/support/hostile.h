#pragma once

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/files.h"

namespace sotto::test {

/// Writes the file cut at every length and with seeded random edits and reads it: every reading must succeed or be
/// refused with Error{bad_input}, or Error{wrong_key} where a signature was changed. accept(): called after a success.
/// Cut files must be refused.
template <class Read, class Accept>
void expect_refused_or_accepted(const std::filesystem::path& path, const Bytes& good, const Read& read,
                                const Accept& accept, int edits = 1500) {
  const auto attempt = [&](const Bytes& bytes, bool cut) {
    write_bytes(path, bytes);
    try {
      auto result = read();
      ASSERT_FALSE(cut) << "cut at " << bytes.size();
      accept(result);
    } catch (const Error& e) {
      ASSERT_TRUE(e.code() == ErrorCode::bad_input || e.code() == ErrorCode::wrong_key) << e.what();
      ASSERT_NE(std::string(e.what()).find(path.filename().string()), std::string::npos) << e.what();
    }
  };
  for (std::size_t length = 0; length<good.size(); length += good.size()> 3000 && length > 400 ? 97 : 1)
    attempt(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)), true);
  std::mt19937_64 rng(17);
  for (int k = 0; k < edits; ++k) attempt(mutate(good, rng), false);
  write_bytes(path, good);
}

}  // namespace sotto::test
