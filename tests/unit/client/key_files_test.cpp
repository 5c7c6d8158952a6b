// secret.key and eval.key: made together, kept from others, and refused where they do not belong.
#include "client/key_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "ckks/key_file.h"
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
  void make(bool replace = false) const {
    (void)make_keys(spec, parameters, folder / "keys", {.replace = replace}, {});
  }
  [[nodiscard]] Keys read() const { return read_keys(parameters, folder / "keys"); }
  [[nodiscard]] unsigned mode(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(::stat((folder / name).c_str(), &info), 0);
    return info.st_mode & 0777;
  }

  const plan::ClientSpec spec = plan::client_part(test::small_plan());
  const ckks::Parameters parameters = ckks::ToyParameters::make(spec.parameters);
  test::TempFolder folder;
};

TEST_F(KeyFiles, BothFilesOfOneKey) {
  std::size_t calls = 0;
  make_keys(spec, parameters, folder / "keys", {}, [&](std::size_t done, std::size_t total) {
    EXPECT_EQ(total, spec.keys.keys.size());
    EXPECT_EQ(done, calls++);
  });
  EXPECT_EQ(calls, spec.keys.keys.size() + 1);
  EXPECT_EQ(mode("keys/secret.key"), 0600u);
  const Keys keys = read();
  ckks::KeyFile eval(folder / "keys/eval.key", keys.ring, spec.parameters, spec.keys, spec.plan_id);
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

// Other images, another batch size, another ring: one secret key.
TEST_F(KeyFiles, OneSecretServesAllPlans) {
  make();
  const Keys first = read();
  plan::ClientSpec other = spec;
  other.plan_id = std::string(32, '0');
  other.parameters.log_n += 1;
  const ckks::Parameters larger = ckks::ToyParameters::make(other.parameters);
  EXPECT_FALSE(make_keys(other, larger, folder / "keys", {.evaluation_keys = folder / "other.key"}, {}).secret);
  const Keys second = read_keys(larger, folder / "keys");
  EXPECT_EQ(first.secret.id(), second.secret.id());
  ckks::KeyFile eval(folder / "other.key", second.ring, other.parameters, other.keys, other.plan_id);
  EXPECT_EQ(eval.key_id(), first.secret.id());
  EXPECT_TRUE(std::filesystem::exists(folder / "keys/eval.key")) << "that of the first plan stays";
  const auto into = [&](const char* name) {
    return make_keys(other, larger, folder / "keys", {.evaluation_keys = folder / name}, {});
  };
  EXPECT_FALSE(into("other.key").secret) << "the same plan's are made anew";
  EXPECT_TRUE(fails_with([&] { into("keys/eval.key"); }, ErrorCode::usage, {"eval.key", "another plan"}));
}

TEST_F(KeyFiles, APublicKeyOnRequest) {
  const auto with_public = [&](const char* keys, bool replace = false) {
    return make_keys(spec, parameters, folder / keys, {.public_key = folder / "public.key", .replace = replace}, {});
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
    other.input.limbs = input_limbs;
    const MadeKeys made = make_keys(other, ckks::ToyParameters::make(other.parameters), folder / "keys",
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
  EXPECT_TRUE(
      fails_with([&] { make_keys(spec, parameters, folder / "keys", {.public_key = folder / "public.key"}, stop); },
                 ErrorCode::interrupted));
  EXPECT_TRUE(folder.names().empty()) << "nobody may encrypt for a key that is lost";
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
  EXPECT_TRUE(test::refuses([&] { make_keys(spec, parameters, folder / "file/keys", {}, {}); }, {"file/keys"}));
}

TEST_F(KeyFiles, NoFolderStaysOfAnInterruptedRun) {
  const auto stop = [](std::size_t, std::size_t) { throw Error(ErrorCode::interrupted, "interrupted"); };
  EXPECT_TRUE(
      fails_with([&] { make_keys(spec, parameters, folder / "new/deeper/keys", {}, stop); }, ErrorCode::interrupted));
  EXPECT_TRUE(folder.names().empty());
  std::filesystem::create_directories(folder / "old");
  EXPECT_TRUE(fails_with([&] { make_keys(spec, parameters, folder / "old/keys", {}, stop); }, ErrorCode::interrupted));
  EXPECT_EQ(folder.names(), std::set<std::string>{"old"}) << "what was there before stays";
  make_keys(spec, parameters, folder / "new/keys/", {}, {});
  EXPECT_TRUE(std::filesystem::exists(folder / "new/keys/secret.key"));
}

}  // namespace
}  // namespace sotto::client
