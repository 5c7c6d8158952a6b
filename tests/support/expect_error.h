#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sotto::test {

/// Success if f() throws Error{code} whose message holds every one of `words`: EXPECT_TRUE(fails_with([&] { .. }, code,
/// {..})).
template <class F>
::testing::AssertionResult fails_with(F&& f, ErrorCode code, std::initializer_list<std::string_view> words = {}) {
  try {
    (void)f();
  } catch (const Error& e) {
    const std::string message = e.what();
    if (e.code() != code)
      return ::testing::AssertionFailure() << "error code " << static_cast<int>(e.code()) << ": " << message;
    for (std::string_view w : words)
      if (message.find(w) == std::string::npos)
        return ::testing::AssertionFailure() << "no '" << w << "' in: " << message;
    if (message.find('\n') != std::string::npos)
      return ::testing::AssertionFailure() << "more than one line: " << message;
    return ::testing::AssertionSuccess();
  } catch (const std::exception& e) {
    return ::testing::AssertionFailure() << "another exception: " << e.what();
  }
  return ::testing::AssertionFailure() << "nothing was thrown";
}

template <class F>
::testing::AssertionResult refuses(F&& f, std::initializer_list<std::string_view> words = {}) {
  return fails_with(std::forward<F>(f), ErrorCode::bad_input, words);
}

}  // namespace sotto::test
