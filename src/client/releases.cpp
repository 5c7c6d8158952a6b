#include "client/releases.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/shortage.h"
#include "client/folder_lock.h"
#include "wire/atomic_file.h"
#include "wire/fields.h"
#include "wire/json_text.h"

namespace sotto::client {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostCiphertexts = 1 << 20;
constexpr wire::JsonLimits kLimits{std::size_t{64} << 20, 1 << 21, 1 << 21};

// The folder of releases, made if it is missing. On file systems without locks a record still replaces no other.
fs::path folder_of_releases(const fs::path& dir) {
  fs::path path = dir / "releases";
  std::error_code error;
  if (fs::create_directories(path, error)) fs::permissions(path, fs::perms::owner_all, error);
  if (error)
    throw Error(code_of(error.value()),
                "cannot make the folder " + path.string() + ", in which releases are remembered: " + error.message());
  return path;
}

[[noreturn]] void cannot_read(const fs::path& path) {
  throw Error(ErrorCode::bad_input, path.string() +
                                        " cannot be read: what was published under this key is not known; restore "
                                        "it, or publish nothing under this key");
}

Release release_of(const fs::path& path) {
  std::error_code unknown;
  try {
    if (!(fs::file_size(path, unknown) <= kLimits.bytes)) throw Error(ErrorCode::bad_input, "too large");
    std::ifstream file = open_to_read(path);
    const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto j = wire::parse_json(content, kLimits);
    if (!file || j.is_discarded()) throw Error(ErrorCode::bad_input, "no JSON");
    Release r{wire::text(j, "key_id", 64),
              wire::text(j, "what", 20),
              wire::text(j, "deviation", 20),
              wire::text(j, "plan_id", 64),
              static_cast<std::uint64_t>(wire::integer(j, "images", 1, std::int64_t{1} << 40)),
              wire::texts(j, "ciphertexts", kMostCiphertexts),
              {}};
    const std::vector<double> divergence = wire::reals(j, "divergence", kOrders.size());
    if (divergence.size() != kOrders.size() || std::ranges::any_of(divergence, [](double d) { return d < 0; }))
      throw Error(ErrorCode::bad_input, "no divergence");
    std::ranges::copy(divergence, r.divergence.begin());
    return r;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::bad_input) throw;
    cannot_read(path);
  }
}

std::vector<Release> releases_in(const fs::path& folder) {
  std::vector<Release> all;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json") {
      all.push_back(release_of(entry.path()));
      if (entry.path().stem() != all.back().id()) cannot_read(entry.path());
    }
  return all;
}

void write_release(const fs::path& path, const Release& r) {
  const std::string text =
      nlohmann::json{{"key_id", r.key_id},        {"what", r.what},     {"deviation", r.deviation},
                     {"plan_id", r.plan_id},      {"images", r.images}, {"ciphertexts", r.ciphertexts},
                     {"divergence", r.divergence}}
          .dump(2) +
      "\n";
  wire::AtomicFile file(path, wire::Access::new_secret_key);
  file.write({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
  file.commit();
}

}  // namespace

std::string Release::id() const {
  crypto_generichash_state state;
  unsigned char hash[16];
  crypto_generichash_init(&state, nullptr, 0, sizeof hash);
  const auto add = [&](const std::string& text) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(text.c_str()), text.size() + 1);
  };
  for (const std::string& text : {key_id, what, deviation, plan_id, std::to_string(images)}) add(text);
  for (const std::string& c : ciphertexts) add(c);
  for (const double d : divergence) {
    const auto bits = std::bit_cast<std::uint64_t>(d);
    std::array<unsigned char, 8> bytes;
    for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<unsigned char>(bits >> (8 * k));
    crypto_generichash_update(&state, bytes.data(), bytes.size());
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  return to_hex(hash);
}

Remembered remember_release(const fs::path& dir, const Release& release, const Target& target,
                            const std::function<void()>& waiting) {
  const std::set<std::string> own(release.ciphertexts.begin(), release.ciphertexts.end());
  if (own.size() != release.ciphertexts.size())
    throw Error(ErrorCode::bad_input, "these results hold a ciphertext twice: it would be published with two noises");
  const fs::path folder = folder_of_releases(dir);
  const FolderLock lock(folder, FolderLock::IfHeld::wait, waiting);
  Remembered out;
  for (const Release& r : releases_in(folder)) {
    if (r.key_id != release.key_id) continue;  // of a key that was replaced
    out.together = out.together + r.divergence;
    if (std::ranges::none_of(r.ciphertexts, [&](const std::string& c) { return own.contains(c); })) continue;
    if (r.id() != release.id())
      throw Error(ErrorCode::usage,
                  fmt::format("these results, or a part of them, were published before ({} with noise of {}); the same "
                              "request gives the same again, any other would tell of the key",
                              r.what, r.deviation));
    out.again = true;
  }
  if (out.again) return out;
  out.together = out.together + release.divergence;
  if (!target.met_by(out.together))
    throw Error(ErrorCode::usage,
                fmt::format("with what was published under this key before, these results would leave {:.1f} bits to "
                            "the key and {:.1f} of statistical security; ask for less, or make a new key",
                            key_bits(out.together, target.security_bits), statistical_bits(out.together)));
  write_release(folder / (release.id() + ".json"), release);
  return out;
}

}  // namespace sotto::client
