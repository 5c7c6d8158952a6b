// secret.key and eval.key: made together, kept from others, and refused where they do not belong.
#include "client/key_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckks/key_file.h"
#include "client/known_plans.h"
#include "encrypt/public_key_file.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_parameters.h"

namespace sotto::client {
namespace {

using test::fails_with;

class KeyFiles : public ::testing::Test {
 protected:
  void make(bool replace = false) const { (void)make_keys(plans, folder / "keys", {.replace = replace}, {}); }
  [[nodiscard]] Keys read() const { return read_keys(parameters, folder / "keys"); }
  [[nodiscard]] unsigned mode(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(::stat((folder / name).c_str(), &info), 0);
    return info.st_mode & 0777;
  }

  const plan::ClientSpec spec = plan::client_part(test::small_plan());
  const ckks::Parameters parameters = ckks::ToyParameters::make(spec.parameters);
  const std::vector<PlanToServe> plans{{spec, parameters}};
  test::TempFolder folder;
};

TEST_F(KeyFiles, BothFilesOfOneKey) {
  const std::vector<ckks::KeyShape> keys_of_plan = ckks::shapes_of(spec.keys);
  std::size_t calls = 0;
  make_keys(plans, folder / "keys", {}, [&](std::size_t done, std::size_t total) {
    EXPECT_EQ(total, keys_of_plan.size());
    EXPECT_EQ(done, calls++);
  });
  EXPECT_EQ(calls, keys_of_plan.size() + 1);
  EXPECT_EQ(mode("keys/secret.key"), 0600u);
  const Keys keys = read();
  ckks::KeyFile eval(folder / "keys/eval.key", keys.ring, spec.parameters, spec.keys);
  EXPECT_EQ(eval.key_id(), keys.secret.id());
  for (const ckks::KeyId& id : spec.keys.keys) EXPECT_NO_THROW((void)eval.key(id));
}

TEST_F(KeyFiles, TheSecretIsTheSameWheneverItIsRead) {
  make();
  const Keys a = read(), b = read_keys(parameters, folder / "keys/secret.key");
  EXPECT_EQ(a.secret.id(), b.secret.id());
  const auto va = a.secret.values(1), vb = b.secret.values(1);
  EXPECT_TRUE(std::equal(va.data(), va.data() + va.size(), vb.data()));
}

TEST_F(KeyFiles, KeysAreReplacedOnlyOnRequest) {
  make();
  const std::string id = read().secret.id();
  EXPECT_TRUE(fails_with([&] { make(); }, ErrorCode::usage, {"eval.key", "another file"}));
  EXPECT_EQ(read().secret.id(), id);
  make(true);
  EXPECT_NE(read().secret.id(), id);
}

// The evaluation keys would take the name of the secret key, after the public key made it one that others encrypt for.
TEST_F(KeyFiles, NoFileTakesTheNameOfAnother) {
  const std::string keys = folder / "keys";
  for (const auto& [evaluation, with_public] : {std::pair{keys + "/secret.key", folder / "public.key"},
                                                {std::string(), keys + "/secret.key"},
                                                {std::string(), keys + "/eval.key"},
                                                {folder / "both.key", folder / "both.key"}}) {
    const KeyFileOptions options{.evaluation_keys = evaluation, .public_key = with_public};
    EXPECT_TRUE(fails_with([&] { (void)make_keys(plans, keys, options, {}); }, ErrorCode::usage, {"two outputs"}));
    EXPECT_FALSE(std::filesystem::exists(keys + "/secret.key"));
  }
}

// Other images, another batch size, another ring: one secret key.
TEST_F(KeyFiles, OneSecretServesAllPlans) {
  make();
  const Keys first = read();
  plan::ClientSpec other = spec;
  other.plan_id = std::string(32, '0');
  other.parameters.log_n += 1;
  const ckks::Parameters larger = ckks::ToyParameters::make(other.parameters);
  const std::vector<PlanToServe> others{{other, larger}};
  EXPECT_FALSE(make_keys(others, folder / "keys", {.evaluation_keys = folder / "other.key"}, {}).secret);
  const Keys second = read_keys(larger, folder / "keys");
  EXPECT_EQ(first.secret.id(), second.secret.id());
  ckks::KeyFile eval(folder / "other.key", second.ring, other.parameters, other.keys);
  EXPECT_EQ(eval.key_id(), first.secret.id());
  EXPECT_TRUE(std::filesystem::exists(folder / "keys/eval.key")) << "that of the first plan stays";
  const auto into = [&](const char* name) {
    return make_keys(others, folder / "keys", {.evaluation_keys = folder / name}, {});
  };
  EXPECT_FALSE(into("other.key").secret) << "the same plan's are made anew";
  EXPECT_TRUE(fails_with([&] { into("keys/eval.key"); }, ErrorCode::usage, {"eval.key", "another plan"}));
}

// One file from which servers of several plans read. Plans of one ring share keys, and those of another have their own.
TEST_F(KeyFiles, OneFileServesSeveralPlans) {
  plan::ClientSpec longer = spec, another = spec;
  longer.parameters.ciphertext_primes += 1;
  longer.keys.tiers.front().max_limbs += 1;
  another.parameters.log_n += 1;
  std::vector<PlanToServe> all = plans;
  for (const plan::ClientSpec& s : {longer, another}) all.push_back({s, ckks::ToyParameters::make(s.parameters)});
  make_keys(all, folder / "keys", {}, {});
  make_keys({all[1]}, folder / "alone", {}, {});
  const secret::OwnerKey owner = read_owner_key(folder / "keys");
  for (const PlanToServe& p : all) {
    const Keys keys = keys_of(owner, p.parameters);
    ckks::KeyFile eval(folder / "keys/eval.key", keys.ring, p.spec.parameters, p.spec.keys);
    EXPECT_EQ(eval.key_id(), owner.id());
    for (const ckks::KeyId& id : p.spec.keys.keys) EXPECT_NO_THROW((void)eval.key(id));
  }
  const auto count = [&](const char* name) { return wire::FileReader(folder / name, wire::Kind::eval_key).sections(); };
  EXPECT_EQ(count("keys/eval.key"), count("alone/eval.key") + ckks::shapes_of(another.keys).size());
  EXPECT_TRUE(fails_with([&] { make_keys(all, folder / "new", {.public_key = folder / "public.key"}, {}); },
                         ErrorCode::usage, {"different rings"}));
  // Keys that another plan needs are not lost to those of this one.
  const KeyFileOptions same{.evaluation_keys = folder / "keys/eval.key"};
  EXPECT_TRUE(fails_with([&] { make_keys(plans, folder / "keys", same, {}); }, ErrorCode::usage, {"client files"}));
  EXPECT_EQ(make_keys(all, folder / "keys", same, {}).evaluation, count("keys/eval.key"));
  EXPECT_TRUE(fails_with([&] { make_keys(all, folder / "alone", same, {}); }, ErrorCode::usage, {"another owner"}));
}

TEST_F(KeyFiles, RememberTheirPlans) {
  EXPECT_EQ(known_plan(folder / "keys", spec.plan_id), Known::unrecorded);
  make();
  EXPECT_EQ(known_plan(folder / "keys", spec.plan_id), Known::yes);
  EXPECT_EQ(known_plan(folder / "keys/secret.key", spec.plan_id), Known::yes);
  plan::ClientSpec other = spec;
  other.plan_id = std::string(32, '0');
  EXPECT_EQ(known_plan(folder / "keys", other.plan_id), Known::no);
  make_keys({{other, parameters}}, folder / "keys", {.evaluation_keys = folder / "other.key"}, {});
  EXPECT_EQ(known_plan(folder / "keys", other.plan_id), Known::yes);
  std::filesystem::copy(folder / "keys/secret.key", folder / "copy.key");
  EXPECT_EQ(known_plan(folder / "copy.key", spec.plan_id), Known::unrecorded);
}

TEST_F(KeyFiles, OneProgramAtATime) {
  std::filesystem::create_directories(folder / "keys");
  const int other = ::open((folder / "keys").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  EXPECT_TRUE(fails_with([&] { make(); }, ErrorCode::usage, {"keys", "another program"}));
  ::close(other);
  EXPECT_NO_THROW(make());
}

TEST_F(KeyFiles, APublicKeyOnRequest) {
  const auto with_public = [&](const char* keys, bool replace = false) {
    return make_keys(plans, folder / keys, {.public_key = folder / "public.key", .replace = replace}, {});
  };
  const MadeKeys all = with_public("keys");
  EXPECT_TRUE(all.secret && all.evaluation);
  const std::string id = read().secret.id();
  EXPECT_EQ(encrypt::PublicKeyFile(folder / "public.key").key_id(), id);
  const test::Bytes evaluation = test::read_bytes(folder / "keys/eval.key"),
                    first = test::read_bytes(folder / "public.key");
  const MadeKeys again = with_public("keys");
  EXPECT_FALSE(again.secret || again.evaluation || again.public_key) << "what is there stays";
  std::filesystem::remove(folder / "public.key");
  EXPECT_TRUE(with_public("keys").public_key);
  EXPECT_NE(test::read_bytes(folder / "public.key"), first);
  EXPECT_EQ(test::read_bytes(folder / "keys/eval.key"), evaluation);
  EXPECT_TRUE(fails_with([&] { with_public("others"); }, ErrorCode::usage, {"public.key", "another owner"}));
  EXPECT_EQ(folder.names(), (std::set<std::string>{"keys", "public.key"}));
  EXPECT_TRUE(with_public("others", true).secret);
  std::filesystem::remove(folder / "keys/secret.key");
  EXPECT_TRUE(fails_with([&] { with_public("keys"); }, ErrorCode::usage, {"eval.key"})) << "of a secret that is lost";
}

TEST_F(KeyFiles, APublicKeyGrowsWithThePlans) {
  const auto limbs_for = [&](int log_n, int input_limbs) {
    plan::ClientSpec other = spec;
    other.parameters.log_n = log_n;
    other.input.level.limbs = input_limbs;
    const MadeKeys made = make_keys({{other, ckks::ToyParameters::make(other.parameters)}}, folder / "keys",
                                    {.public_key = folder / "public.key"}, {});
    const wire::FileReader file(folder / "public.key", wire::Kind::public_key);
    return std::pair(made.public_key, file.sections());
  };
  const int log_n = spec.parameters.log_n;
  EXPECT_EQ(limbs_for(log_n, 1), std::pair(true, std::size_t{2}));
  EXPECT_EQ(limbs_for(log_n, 2), std::pair(true, std::size_t{3}));
  EXPECT_EQ(limbs_for(log_n, 1), std::pair(false, std::size_t{3})) << "others may need all of it";
  EXPECT_TRUE(fails_with([&] { limbs_for(log_n + 1, 1); }, ErrorCode::usage, {"public.key", "ring"}));
}

TEST_F(KeyFiles, NoPublicKeyOfAnInterruptedRun) {
  const auto stop = [](std::size_t, std::size_t) { throw Error(ErrorCode::interrupted, "interrupted"); };
  EXPECT_TRUE(fails_with([&] { make_keys(plans, folder / "keys", {.public_key = folder / "public.key"}, stop); },
                         ErrorCode::interrupted));
  EXPECT_TRUE(folder.names().empty()) << "nobody may encrypt for a key that is lost";
}

TEST_F(KeyFiles, AFirstSecretKeyOutlivesEvaluationKeysThatCannotBeNamed) {
  // As if the program were killed between the two: without its secret key, eval.key would stand in the way for ever.
  const auto in_the_way = [&](std::size_t done, std::size_t total) {
    if (done == total) std::filesystem::create_directory(folder / "keys/eval.key");
  };
  EXPECT_TRUE(fails_with([&] { make_keys(plans, folder / "keys", {}, in_the_way); }, ErrorCode::bad_input));
  const std::string id = read().secret.id();
  std::filesystem::remove(folder / "keys/eval.key");
  make();
  EXPECT_EQ(read().secret.id(), id);
  EXPECT_TRUE(std::filesystem::exists(folder / "keys/eval.key"));
}

TEST_F(KeyFiles, ReplacedKeysStayUntilNothingElseCanGoWrong) {
  make();
  const std::string id = read().secret.id();
  const auto in_the_way = [&](std::size_t done, std::size_t total) {
    if (done < total) return;
    std::filesystem::remove(folder / "keys/eval.key");
    std::filesystem::create_directory(folder / "keys/eval.key");
  };
  EXPECT_TRUE(
      fails_with([&] { make_keys(plans, folder / "keys", {.replace = true}, in_the_way); }, ErrorCode::bad_input));
  EXPECT_EQ(read().secret.id(), id);
}

TEST_F(KeyFiles, NothingStaysOfARunThatIsStoppedAtItsEnd) {
  const auto stop = [](std::size_t done, std::size_t total) {
    if (done == total) throw Error(ErrorCode::interrupted, "interrupted");
  };
  EXPECT_TRUE(fails_with([&] { make_keys(plans, folder / "keys", {}, stop); }, ErrorCode::interrupted));
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(KeyFiles, OwnersKeys) {
  const secret::OwnerKey key = secret::OwnerKey::generate();
  write_owner_key(key, folder / "my.key", false);
  EXPECT_EQ(mode("my.key"), 0600u);
  EXPECT_EQ(read_owner_key(folder / "my.key").id(), key.id());
  const secret::OwnerKey other = secret::OwnerKey::generate();
  EXPECT_TRUE(fails_with([&] { write_owner_key(other, folder / "my.key", false); }, ErrorCode::usage, {"my.key"}));
  EXPECT_EQ(read_owner_key(folder / "my.key").id(), key.id());
  write_owner_key(other, folder / "my.key", true);
  EXPECT_EQ(read_owner_key(folder / "my.key").id(), other.id());
}

TEST_F(KeyFiles, MissingDamagedAndOtherFiles) {
  EXPECT_TRUE(test::refuses([&] { (void)read(); }, {"keys"}));
  make();
  EXPECT_TRUE(
      test::refuses([&] { (void)read_keys(parameters, folder / "keys/eval.key"); }, {"evaluation key", "secret key"}));
  test::Bytes bytes = test::read_bytes(folder / "keys/secret.key");
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    test::Bytes damaged = bytes;
    damaged[at] ^= 1;
    test::write_bytes(folder / "keys/secret.key", damaged);
    ASSERT_TRUE(test::refuses([&] { (void)read(); }, {"secret.key"})) << at;
  }
}

TEST_F(KeyFiles, FoldersThatCannotBeMade) {
  test::write_text(folder / "file", "");
  EXPECT_TRUE(test::refuses([&] { make_keys(plans, folder / "file/keys", {}, {}); }, {"file/keys"}));
}

TEST_F(KeyFiles, NoFolderStaysOfAnInterruptedRun) {
  const auto stop = [](std::size_t, std::size_t) { throw Error(ErrorCode::interrupted, "interrupted"); };
  EXPECT_TRUE(fails_with([&] { make_keys(plans, folder / "new/deeper/keys", {}, stop); }, ErrorCode::interrupted));
  EXPECT_TRUE(folder.names().empty());
  std::filesystem::create_directories(folder / "old");
  EXPECT_TRUE(fails_with([&] { make_keys(plans, folder / "old/keys", {}, stop); }, ErrorCode::interrupted));
  EXPECT_EQ(folder.names(), std::set<std::string>{"old"}) << "what was there before stays";
  make_keys(plans, folder / "new/keys/", {}, {});
  EXPECT_TRUE(std::filesystem::exists(folder / "new/keys/secret.key"));
}

}  // namespace
}  // namespace sotto::client
