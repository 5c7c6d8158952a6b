// Memory that runs out anywhere in the cryptography of both sides is an exception, and nothing of what was taken before
// is lost.
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/error.h"
#include "ckks/evaluator.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace {

std::atomic<long> alive = 0, until_failure = -1;  // until_failure: calls that still succeed; below 0: all

void* take(std::size_t bytes, std::size_t alignment) {
  if (until_failure >= 0 && until_failure-- == 0) throw std::bad_alloc();
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  ++alive;
  return memory;
}

void give(void* memory) {
  if (memory != nullptr) --alive;
  std::free(memory);
}

}  // namespace

// In the place of the library's.
void* operator new(std::size_t bytes) { return take(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { give(memory); }
void operator delete(void* memory, std::size_t) noexcept { give(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give(memory); }

namespace sotto {
namespace {

// Keys, encryption with both kinds of key, and decryption.
void both_sides(const plan::Plan& plan, const std::vector<std::vector<double>>& images) {
  const test::ToyClient client(plan);
  ASSERT_FALSE(client.encrypt_with_public_key(images).empty());
  ASSERT_FALSE(client.encrypt(images).empty());
  const std::vector<ckks::Plaintext> messages = client.messages(images);
  const auto fresh =
      ckks::expand(*client.ring, secret::encrypt_symmetric(client.key, messages.front(), ckks::random_seed(), 0));
  ASSERT_FALSE(client.slots(fresh).empty());
}

TEST(Leaks, NothingIsLostWhereMemoryRunsOut) {
  const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);  // the same calls in every run
  const plan::Plan plan = test::small_plan();
  const plan::Layout& l = plan.input().layout;
  const std::vector<std::vector<double>> images(
      2, std::vector<double>(static_cast<std::size_t>(l.channels) * l.height * l.width, 0.25));
  both_sides(plan, images);  // what is made once, is made now
  constexpr long kMany = 1'000'000'000;
  const long before = alive;
  until_failure = kMany;
  both_sides(plan, images);
  const long calls = kMany - until_failure;
  until_failure = -1;
  ASSERT_EQ(alive, before);
  ASSERT_GT(calls, 200);
  const long stride = std::max(1L, calls / 120);
  long failures = 0;
  for (long k = 0; k < calls; k += stride) {
    until_failure = k;
    try {
      both_sides(plan, images);
    } catch (const std::bad_alloc&) {
      ++failures;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::no_resources) << e.what();
      ++failures;
    }
    until_failure = -1;
    ASSERT_EQ(alive, before) << "call " << k;
  }
  EXPECT_GT(failures, 80) << "the calls did not fail";
}

}  // namespace
}  // namespace sotto
