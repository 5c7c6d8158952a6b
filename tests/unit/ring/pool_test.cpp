// Memory of polynomials: what is counted against a limit, and what is given back.
#include "ring/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/expect_error.h"

namespace sotto::ring {
namespace {

constexpr std::size_t kRegion = std::size_t{32} << 20, kWords = std::size_t{1} << 20;  // four blocks to a region

TEST(MemoryBudget, GivesItsLimitAndNoByteMore) {
  MemoryBudget budget(100);
  budget.take(60);
  budget.take(40);
  EXPECT_EQ(budget.taken(), 100u);
  EXPECT_TRUE(test::fails_with([&] { budget.take(1); }, ErrorCode::no_resources, {"memory limit"}));
  EXPECT_EQ(budget.taken(), 100u) << "what was refused is not counted";
  budget.give_back(40);
  budget.take(39);
  EXPECT_EQ(budget.taken(), 99u);
  MemoryBudget without;
  without.take(std::size_t{1} << 60);
  EXPECT_EQ(without.taken(), std::size_t{1} << 60);
}

TEST(MemoryBudget, MessagesNameTheLimit) {
  MemoryBudget budget(std::size_t{5} << 20);
  EXPECT_TRUE(
      test::fails_with([&] { budget.take(std::size_t{6} << 20); }, ErrorCode::no_resources, {" 5 MiB", "raise it"}));
}

TEST(BlockPool, BlocksDoNotOverlapAndAreUsedAgain) {
  MemoryBudget budget(2 * kRegion);
  BlockPool pool(kWords, budget);
  EXPECT_EQ(budget.taken(), 0u) << "nothing is taken before it is needed";
  std::set<std::uint64_t*> blocks;
  for (std::size_t k = 0; k < 8; ++k) {
    std::uint64_t* block = pool.take();
    std::fill_n(block, kWords, k);
    blocks.insert(block);
    EXPECT_EQ(budget.taken(), k < 4 ? kRegion : 2 * kRegion) << k;
  }
  ASSERT_EQ(blocks.size(), 8u);
  std::uint64_t* before = nullptr;
  for (std::uint64_t* block : blocks) {
    EXPECT_TRUE(before == nullptr || before + kWords <= block);
    EXPECT_TRUE(std::all_of(block, block + kWords, [&](std::uint64_t w) { return w == *block; }));
    before = block;
  }
  EXPECT_TRUE(test::fails_with([&] { pool.take(); }, ErrorCode::no_resources, {" 64 MiB"}));
  for (std::uint64_t* block : blocks) pool.give(block);
  for (std::size_t k = 0; k < 8; ++k) EXPECT_TRUE(blocks.erase(pool.take()) == 1) << "an old one, and each once";
  EXPECT_EQ(budget.taken(), 2 * kRegion);
}

TEST(BlockPool, OneBlockCanBeLongerThanARegion) {
  MemoryBudget budget;
  BlockPool pool(2 * kRegion / 8, budget);
  std::uint64_t* block = pool.take();
  block[2 * kRegion / 8 - 1] = 1;
  EXPECT_EQ(budget.taken(), 2 * kRegion);
}

// More than addresses there are.
TEST(BlockPool, MemoryThatTheSystemRefusesIsNotCounted) {
  MemoryBudget budget;
  budget.take(std::size_t{3} << 20);
  BlockPool pool(std::size_t{1} << 46, budget);
  for (int k = 0; k < 2; ++k) {
    EXPECT_TRUE(
        test::fails_with([&] { pool.take(); }, ErrorCode::no_resources, {"out of memory after 3 MiB", "batch"}));
    EXPECT_EQ(budget.taken(), std::size_t{3} << 20);
  }
}

TEST(BlockPool, BlocksAreWholeCacheLines) {
  MemoryBudget budget;
  EXPECT_TRUE(test::fails_with([&] { BlockPool(12, budget); }, ErrorCode::internal));
}

}  // namespace
}  // namespace sotto::ring
