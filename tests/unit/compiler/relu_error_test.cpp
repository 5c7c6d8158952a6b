#include "compiler/relu_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sotto::compiler {
namespace {

// What is found where halving finds these agreements one after the other, and how many of them are looked at.
struct Found {
  double error = 0;
  std::size_t tried = 0;
};

Found found(const std::vector<double>& agreements, double wanted) {
  Found f;
  f.error = relu_error_reaching(wanted, 1, std::ldexp(1.5, -static_cast<int>(agreements.size())), [&](double error) {
    EXPECT_EQ(error, std::ldexp(1.0, -static_cast<int>(f.tried)));
    return agreements.at(f.tried++);
  });
  return f;
}

TEST(ReluError, TheLargestThatReachesWhatIsWanted) {
  const Found f = found({0.9, 0.95, 0.999, 1}, 0.99);
  EXPECT_EQ(f.error, 0.25);
  EXPECT_EQ(f.tried, 3u);
  EXPECT_EQ(found({0.99, 1}, 0.99).error, 1);
}

// A network must not be refused for polynomials that are coarser than need be.
TEST(ReluError, TheBestIfNoneReachesIt) {
  const Found f = found({0.6, 0.9, 0.95, 0.98}, 0.99);
  EXPECT_EQ(f.error, 0.125);
  EXPECT_EQ(f.tried, 4u);
  EXPECT_EQ(found({0.6, 0.98, 0.97, 0.98}, 0.99).error, 0.5) << "the coarser one of equals";
}

}  // namespace
}  // namespace sotto::compiler
