// Plans and client descriptions come back from files as they were; nothing that was tampered with does.
#include "plan/plan_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "circuit/interpret.h"
#include "plan/describe.h"
#include "plan/identity.h"
#include "plan/probe.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/plan_builder.h"
#include "support/raw_container.h"

namespace sotto::plan {
namespace {

using nlohmann::json;
using test::refuses;

// The input and another tensor come back.
Plan with_probes(Plan p, int tensor) {
  p.probes = {{0, false, 2, 20}, {tensor, true, 2, 1000}};
  p.score_bound = 12.5;
  p.id = plan_id(p);
  return p;
}

class PlanFile : public ::testing::Test {
 protected:
  explicit PlanFile(Plan p = with_probes(test::small_plan(), 1)) : plan(std::move(p)) {
    write_plan(plan_path, plan);
    write_client(client_path, client_part(plan));
  }

  // The file at `from` with its contents changed and all checksums right: what an attacker would write.
  template <class F>
  void forge(const std::filesystem::path& from, wire::Kind kind, F change) const {
    test::Contents contents(from, kind);
    change(contents.header, contents.sections);
    contents.write(forged, kind);
  }
  ::testing::AssertionResult plan_refused(const std::function<void(json&)>& change) const {
    forge(plan_path, wire::Kind::plan, [&](json& h, auto&) { change(h); });
    return refuses([&] { (void)read_plan(forged); }, {forged.string()});
  }
  ::testing::AssertionResult client_refused(const std::function<void(json&)>& change) const {
    forge(client_path, wire::Kind::client, [&](json& h, auto&) { change(h); });
    return refuses([&] { (void)read_client(forged); }, {forged.string()});
  }

  // Values that a hostile header may have instead of another one.
  static std::vector<json> strange(const json& old) {
    std::vector<json> values = {
        nullptr,       true,           -1,       0, 7.5, 1e300, std::int64_t{1} << 40, UINT64_MAX, "", "text",
        json::array(), json::object(), {1, 2, 3}};
    if (old.is_number_integer())
      values.insert(values.end(),
                    {old.get<std::int64_t>() + 1, old.get<std::int64_t>() - 1, old.get<std::int64_t>() * 2});
    if (old.is_number_float()) values.insert(values.end(), {old.get<double>() * 1.5, -old.get<double>()});
    std::erase(values, old);
    return values;
  }

  // Every other value of every member of the plan, and its absence, is refused.
  void expect_every_member_checked(int least) const {
    json header = wire::FileReader(plan_path, wire::Kind::plan).header();
    header.erase("sections");
    int tried = 0;
    const json flat = header.flatten();
    for (const auto& [where, value] : flat.items()) {
      const json::json_pointer pointer(where);
      const bool name = where.ends_with("/name") || where == "/network";
      for (const json& other : strange(value)) {
        if (name && other.is_string()) continue;  // names are for people only
        ASSERT_TRUE(plan_refused([&](json& h) { h[pointer] = other; })) << where << " = " << other;
        ++tried;
      }
      if (header[pointer.parent_pointer()].is_object()) {
        ASSERT_TRUE(plan_refused([&](json& h) { h[pointer.parent_pointer()].erase(pointer.back()); })) << where;
      }
    }
    EXPECT_GT(tried, least);
  }

  const Plan plan;
  test::TempFolder folder;
  std::filesystem::path plan_path = folder / "a.plan", client_path = folder / "a.client", forged = folder / "forged";
};

TEST_F(PlanFile, RoundTrip) {
  const Plan back = read_plan(plan_path);
  EXPECT_EQ(back.id, plan.id);
  EXPECT_EQ(plan_id(back), plan.id);
  EXPECT_EQ(describe(back), describe(plan));
  EXPECT_EQ(back.network, plan.network);
  EXPECT_EQ(back.parameters, plan.parameters);
  EXPECT_EQ(back.io.classes, plan.io.classes);
  EXPECT_EQ(back.io.mean, plan.io.mean);
  EXPECT_EQ(back.io.std, plan.io.std);
  EXPECT_EQ(back.keys.keys, plan.keys.keys);
  EXPECT_EQ(back.probes, plan.probes);
  EXPECT_EQ(back.score_bound, plan.score_bound);
  ASSERT_EQ(back.tensors.size(), plan.tensors.size());
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    EXPECT_EQ(back.tensors[i].name, plan.tensors[i].name);
    EXPECT_EQ(back.tensors[i].scale, plan.tensors[i].scale);
  }
  // The same file again, to the byte.
  write_plan(forged, back);
  EXPECT_EQ(test::read_bytes(forged), test::read_bytes(plan_path));
  const auto image = test::random_values(128, 3, 1);
  EXPECT_EQ(circuit::interpret(view(back), image), circuit::interpret(view(plan), image));
}

// A plan whose terms have blocks, a map of factors, a dilation and a negative pad.
Plan sparse_plan() {
  using namespace test::kinds;
  test::PlanBuilder b(8, 4, {2, 8, 8, 2, 1}, 4);
  Term t = b.convolution(0, 4, 3, 1, 2);
  t.dilation_h = t.dilation_w = 2;
  t.pad_left = -1;
  t.blocks = {{0, 2, 0, 1}, {2, 2, 1, 1}};
  t.weights.resize(4 * 9);
  t.map = test::random_values(32, 5, 1);
  const int x = b.step({t}, {4, 4, 8, Axes(2), Axes(1)}, square);
  b.step({b.full(x, 3)}, {3, 1, 1, 1, 1}, keep);
  return b.build();
}

TEST_F(PlanFile, RoundTripOfSparseTerms) {
  const Plan sparse = sparse_plan();
  write_plan(forged, sparse);
  const Plan back = read_plan(forged);
  EXPECT_EQ(back.id, sparse.id);
  const Term &t = back.steps[0].terms[0], &old = sparse.steps[0].terms[0];
  EXPECT_EQ(t.blocks, old.blocks);
  EXPECT_EQ(t.map, old.map);
  EXPECT_EQ(t.weights, old.weights);
  EXPECT_EQ(t.pad_left, -1);
  EXPECT_EQ(t.dilation_h, 2);
  const auto image = test::random_values(128, 3, 1);
  EXPECT_EQ(circuit::interpret(view(back), image), circuit::interpret(view(sparse), image));
}

TEST_F(PlanFile, SparseTermsHaveAnIdentity) {
  const Plan sparse = sparse_plan();
  const std::function<void(Term&)> changes[] = {[](Term& t) { t.blocks[0].in = 1, t.blocks[1].in = 0; },
                                                [](Term& t) { t.map[3] += 1; }, [](Term& t) { t.dilation_w = 1; }};
  for (const auto& change : changes) {
    Plan other = sparse;
    change(other.steps[0].terms[0]);
    EXPECT_NE(digest_of(other), digest_of(sparse));
  }
}

TEST_F(PlanFile, ClientRoundTrip) {
  const ClientSpec back = read_client(client_path);
  EXPECT_EQ(back.network, plan.network);
  EXPECT_EQ(back.parameters, plan.parameters);
  EXPECT_EQ(back.tile, plan.tile);
  EXPECT_EQ(back.batch, plan.batch);
  EXPECT_EQ(back.input.layout, plan.input().layout);
  EXPECT_EQ(back.input.level.limbs, plan.input().level.limbs);
  EXPECT_EQ(back.input.scale, plan.input().scale);
  EXPECT_EQ(back.output_level, plan.output().level.limbs);
  EXPECT_EQ(back.output_scale, plan.output().scale);
  EXPECT_EQ(back.keys.keys, plan.keys.keys);
  EXPECT_EQ(back.io.classes, plan.io.classes);
  EXPECT_EQ(back.plan_id, plan.id);
  EXPECT_EQ(back.watch, watch_of(plan));
  ASSERT_EQ(back.watch.probes.size(), 2u);
  EXPECT_EQ(back.watch.probes[1].bound, 1000);
  EXPECT_EQ(back.watch.score_bound, 12.5);
  write_client(forged, back);
  EXPECT_EQ(test::read_bytes(forged), test::read_bytes(client_path));
}

TEST_F(PlanFile, TheSecurityThatIsClaimedComesBackAndIsBound) {
  Plan other = plan;
  other.parameters.security = ckks::SecurityLevel::quantum128;
  other.id = plan_id(other);
  EXPECT_NE(other.id, plan.id);
  write_plan(plan_path, other);
  write_client(client_path, client_part(other));
  EXPECT_EQ(read_plan(plan_path).parameters, other.parameters);
  EXPECT_EQ(read_client(client_path).parameters, other.parameters);
  for (const char* claim : {"128", "192", "256", ""}) {
    EXPECT_TRUE(plan_refused([&](json& h) { h["parameters"]["security"] = claim; })) << claim;
    EXPECT_TRUE(client_refused([&](json& h) { h["parameters"]["security"] = claim; })) << claim;
  }
  EXPECT_TRUE(plan_refused([](json& h) { h["parameters"].erase("security"); }));
  EXPECT_TRUE(client_refused([](json& h) { h["parameters"].erase("security"); }));
}

TEST_F(PlanFile, OnlyTheClientFileIsForEveryone) {
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(plan_path).permissions(), perms::owner_read | perms::owner_write)
      << "weights are the owner's";
  EXPECT_NE(std::filesystem::status(client_path).permissions() & perms::owner_read, perms::none);
}

TEST_F(PlanFile, TheClientFileHoldsNoWeights) {
  const std::string text = test::read_text(client_path);
  EXPECT_EQ(text.find("weights"), std::string::npos);
  EXPECT_EQ(text.find("layer"), std::string::npos);
  EXPECT_LT(text.size(), 4000u);
}

TEST_F(PlanFile, KindsAreNotMixedUp) {
  EXPECT_TRUE(refuses([&] { (void)read_plan(client_path); }, {"client description", "plan"}));
  EXPECT_TRUE(refuses([&] { (void)read_client(plan_path); }, {"client description", "plan"}));
}

TEST_F(PlanFile, EveryWeightCountsForTheIdentity) {
  const std::size_t words = wire::FileReader(plan_path, wire::Kind::plan).section_bytes(0) / sizeof(double);
  for (std::size_t w = 0; w < words; ++w) {
    forge(plan_path, wire::Kind::plan, [&](json&, auto& sections) { sections[0][w * sizeof(double)] ^= 1; });
    ASSERT_TRUE(refuses([&] { (void)read_plan(forged); }, {forged.string(), "identity"})) << w;
  }
}

TEST_F(PlanFile, WeightsThatAreNoNumbersOrTooFewOrTooMany) {
  const auto spoiled = [&](const std::function<void(std::vector<unsigned char>&)>& change) {
    forge(plan_path, wire::Kind::plan, [&](json&, auto& sections) { change(sections[0]); });
    return refuses([&] { (void)read_plan(forged); }, {forged.string()});
  };
  EXPECT_TRUE(spoiled([](auto& s) { std::fill_n(s.begin(), 8, 0xff); }));
  EXPECT_TRUE(spoiled([](auto& s) { s.resize(s.size() - 8); }));
  EXPECT_TRUE(spoiled([](auto& s) { s.resize(s.size() + 8); }));
  EXPECT_TRUE(spoiled([](auto& s) { s.resize(s.size() - 1); }));
  EXPECT_TRUE(spoiled([](auto& s) { s.clear(); }));
  forge(plan_path, wire::Kind::plan, [](json&, auto& sections) { sections.clear(); });
  EXPECT_TRUE(refuses([&] { (void)read_plan(forged); }, {"weights"}));
}

TEST_F(PlanFile, EveryMemberOfAPlanIsChecked) { expect_every_member_checked(1000); }

// The identity binds everything that a client is told: whoever changes something needs another one.
TEST_F(PlanFile, EveryMemberOfAClientDescriptionIsBound) {
  json header = wire::FileReader(client_path, wire::Kind::client).header();
  header.erase("sections");
  int tried = 0;
  const json flat = header.flatten();
  for (const auto& [where, value] : flat.items()) {
    const json::json_pointer pointer(where);
    const bool name = where.ends_with("/name") || where == "/network";
    for (const json& other : strange(value)) {
      if (name && other.is_string()) continue;  // names are for people only
      ASSERT_TRUE(client_refused([&](json& h) { h[pointer] = other; })) << where << " = " << other;
      ++tried;
    }
    if (header[pointer.parent_pointer()].is_object()) {
      ASSERT_TRUE(client_refused([&](json& h) { h[pointer.parent_pointer()].erase(pointer.back()); })) << where;
    }
  }
  EXPECT_GT(tried, 500);
}

TEST_F(PlanFile, ClientsWhoseMeaningWasChanged) {
  const std::function<void(json&)> changes[] = {
      [](json& h) { std::swap(h["interface"]["classes"][0], h["interface"]["classes"][1]); },
      [](json& h) { h["interface"]["mean"][0] = h["interface"]["mean"][0].get<double>() + 0.125; },
      [](json& h) { h["watch"]["score_bound"] = 0.0; },
      [](json& h) { h["training"] = json::object(); },
      [](json& h) { h["key_request"]["keys"].erase(0); },
  };
  for (const auto& change : changes) {
    forge(client_path, wire::Kind::client, [&](json& h, auto&) { change(h); });
    EXPECT_TRUE(refuses([&] { (void)read_client(forged); }, {forged.string(), "identity"}));
  }
}

TEST_F(PlanFile, NamesReachTheTerminalWithoutControlCharacters) {
  forge(client_path, wire::Kind::client, [](json& h, auto&) { h["network"] = "net\x1b[2J\n"; });
  EXPECT_EQ(read_client(forged).network, "net?[2J?");
  forge(plan_path, wire::Kind::plan, [](json& h, auto&) {
    h["network"] = "net\x1b[2J";
    h["steps"][0]["name"] = "a\tb";
  });
  const Plan back = read_plan(forged);
  EXPECT_EQ(back.network, "net?[2J");
  EXPECT_EQ(back.steps[0].name, "a?b");
}

TEST_F(PlanFile, OrderOfLayersAndKeysCounts) {
  EXPECT_TRUE(plan_refused([](json& h) { std::swap(h["steps"][0], h["steps"][1]); }));
  EXPECT_TRUE(plan_refused([](json& h) { std::swap(h["key_request"]["keys"][0], h["key_request"]["keys"][1]); }));
  EXPECT_TRUE(client_refused([](json& h) { std::swap(h["key_request"]["keys"][0], h["key_request"]["keys"][1]); }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"].erase(2); }));
  EXPECT_TRUE(plan_refused([](json& h) { h["interface"]["classes"][0] = "cow"; }));
}

TEST_F(PlanFile, EveryFlippedByteIsFound) {
  for (const auto& path : {plan_path, client_path}) {
    const test::Bytes original = test::read_bytes(path);
    for (std::size_t at = 0; at < original.size(); at += 3) {
      test::Bytes b = original;
      b[at] ^= 0x20;
      test::write_bytes(forged, b);
      ASSERT_TRUE(refuses([&] { path == plan_path ? void(read_plan(forged)) : void(read_client(forged)); }))
          << path << " byte " << at;
    }
  }
}

TEST_F(PlanFile, NamesOfAnyLengthAndBytesComeBackOrAreRefused) {
  for (const std::string& name : {std::string(5000, 'a'), std::string("caf\xe9")}) {
    Plan p = plan;
    p.steps[0].name = name;
    try {
      write_plan(forged, p);
    } catch (const Error&) {
      continue;
    }
    EXPECT_NO_THROW((void)read_plan(forged)) << "what was written must be readable";
  }
}

class SlotwisePlanFile : public PlanFile {
 protected:
  SlotwisePlanFile() : PlanFile(with_probes(test::slotwise_plan(), 2)) {}
};

TEST_F(SlotwisePlanFile, RoundTrip) {
  const Plan back = read_plan(plan_path);
  EXPECT_EQ(back.id, plan.id);
  EXPECT_EQ(back.bootstrapping, plan.bootstrapping);
  EXPECT_EQ(back.keys.tiers, plan.keys.tiers);
  EXPECT_EQ(back.keys.keys, plan.keys.keys);
  ASSERT_EQ(back.steps.size(), plan.steps.size());
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const Step &step = back.steps[s], &expected = plan.steps[s];
    EXPECT_EQ(step.kind, expected.kind) << s;
    EXPECT_EQ(step.level.limbs, expected.level.limbs) << s;
    EXPECT_EQ(step.scale, expected.scale) << s;
    EXPECT_EQ(step.early, expected.early) << s;
    EXPECT_EQ(step.late, expected.late) << s;
    EXPECT_EQ(step.terms.front().kind, expected.terms.front().kind) << s;
    EXPECT_EQ(step.activation.range, expected.activation.range) << s;
    EXPECT_EQ(step.activation.gate, expected.activation.gate) << s;
    EXPECT_EQ(step.activation.factors, expected.activation.factors) << s;
  }
  write_plan(forged, back);
  EXPECT_EQ(test::read_bytes(forged), test::read_bytes(plan_path));
  const auto image = test::random_values(128, 3, 1);
  EXPECT_EQ(circuit::interpret(view(back), image), circuit::interpret(view(plan), image));
}

TEST_F(SlotwisePlanFile, ClientRoundTrip) {
  const ClientSpec back = read_client(client_path);
  EXPECT_EQ(back.keys.tiers, plan.keys.tiers);
  EXPECT_EQ(back.keys.keys, plan.keys.keys);
  EXPECT_EQ(back.plan_id, plan.id);
}

TEST_F(SlotwisePlanFile, EveryMemberIsChecked) { expect_every_member_checked(2000); }

TEST_F(SlotwisePlanFile, TheActivationBelongsToItsStep) {
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][1].erase("activation"); }));
  EXPECT_TRUE(plan_refused([](json& h) { std::swap(h["steps"][1]["activation"], h["steps"][6]["activation"]); }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][1]["kind"] = "bootstrap"; }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][3]["kind"] = "sum"; }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][3]["kind"] = "bootstrapping"; }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][3]["terms"][0]["kind"] = "full"; }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][1]["activation"]["factors"] = json::array(); }));
  EXPECT_TRUE(plan_refused([](json& h) { h["steps"][1]["activation"]["factors"][0] = {{"T0", 0.5}, {"T1", 0.5}}; }));
}

}  // namespace
}  // namespace sotto::plan
