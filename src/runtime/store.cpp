#include "runtime/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "base/shortage.h"

namespace sotto::runtime {

ScratchFile::ScratchFile(std::filesystem::path folder, std::size_t block_bytes)
    : folder_(folder.empty() ? "." : std::move(folder)), block_bytes_(block_bytes) {}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) ::close(fd_);
}

void ScratchFile::fail(int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error(full ? ErrorCode::no_resources : code_of(error),
              "cannot use a scratch file in " + folder_.string() + ": " + std::strerror(error) +
                  "; name another folder for it or allow more memory",
              Setting::scratch);
}

std::uint64_t ScratchFile::take() {
  if (fd_ < 0) {
    fd_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd_ < 0) {  // a file system without nameless files
      std::string name = (folder_ / "sotto-scratch-XXXXXX").string();
      fd_ = ::mkostemp(name.data(), O_CLOEXEC);
      if (fd_ < 0) fail(errno);
      ::unlink(name.c_str());
    }
  }
  if (free_.empty()) return places_++;
  const std::uint64_t place = free_.back();
  free_.pop_back();
  return place;
}

void ScratchFile::write(std::uint64_t place, const unsigned char* block) {
  for (std::size_t done = 0; done < block_bytes_;) {
    const ssize_t n = ::pwrite(fd_, block + done, block_bytes_ - done, static_cast<off_t>(place * block_bytes_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno);
    done += static_cast<std::size_t>(n);
  }
}

void ScratchFile::read(std::uint64_t place, unsigned char* block) const {
  for (std::size_t done = 0; done < block_bytes_;) {
    const ssize_t n = ::pread(fd_, block + done, block_bytes_ - done, static_cast<off_t>(place * block_bytes_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(n < 0 ? errno : EIO);
    done += static_cast<std::size_t>(n);
  }
}

namespace {

// Every limb of a phase, by limb, then by ciphertext: what goes lies at the ends.
std::vector<ring::PackedLimb*> limbs_of(Store::Blocks& blocks, const ckks::Level& level) {
  std::vector<ring::PackedLimb*> list;
  for (auto l = static_cast<std::size_t>(level.absent); l < static_cast<std::size_t>(level.limbs); ++l) {
    for (ckks::PackedCiphertext& c : blocks) {
      list.push_back(&c.c0[l]);
      list.push_back(&c.c1[l]);
    }
  }
  return list;
}

}  // namespace

Store::Store(const ring::Ring& ring, const std::filesystem::path& scratch)
    : ring_(ring), file_(scratch, ring.n() * simd::kPackedBytes) {}

void Store::erase(const plan::Source& item) {
  const auto it = entries_.find(item);
  if (it == entries_.end()) return;
  drop_places(it->second);
  entries_.erase(it);
}

void Store::append(const plan::Source& item, ckks::PackedCiphertext c) {
  Entry& e = entries_[item];
  e.level = c.level();
  e.blocks.push_back(std::move(c));
}

const Store::Blocks& Store::at(const plan::Source& item) const {
  const Entry& e = entries_.at(item);
  check(e.in_memory, "a ciphertext was not brought back into memory");
  return e.blocks;
}

void Store::store(const plan::Source& item) {
  Entry& e = entries_.at(item);
  check(e.in_memory, "a ciphertext was stored twice");
  const auto limbs = limbs_of(e.blocks, e.level);
  if (e.places.empty()) {
    for (std::size_t k = 0; k < limbs.size(); ++k) e.places.push_back(file_.take());
    parallel_for(limbs.size(), [&](std::size_t k) { file_.write(e.places[k], limbs[k]->data()); });
  }
  for (ring::PackedLimb* l : limbs) *l = ring::PackedLimb();
  e.in_memory = false;
}

void Store::load(const plan::Source& item) {
  Entry& e = entries_.at(item);
  check(!e.in_memory, "a ciphertext was loaded twice");
  const auto limbs = limbs_of(e.blocks, e.level);
  parallel_for(limbs.size(), [&](std::size_t k) {
    *limbs[k] = ring_.packed_limb();
    file_.read(e.places[k], limbs[k]->data());
  });
  e.in_memory = true;
}

void Store::retain(const std::map<plan::Source, ckks::Level>& live) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto wanted = live.find(it->first);
    Entry& e = it->second;
    if (wanted == live.end()) {
      drop_places(e);
      it = entries_.erase(it);
      continue;
    }
    const ckks::Level level = ckks::meet(e.level, wanted->second);
    for (ckks::PackedCiphertext& c : e.blocks) {
      for (ring::PackedPoly* poly : {&c.c0, &c.c1}) {
        poly->resize(static_cast<std::size_t>(level.limbs));
        for (int l = e.level.absent; l < level.absent; ++l) (*poly)[static_cast<std::size_t>(l)] = ring::PackedLimb();
      }
    }
    if (!e.places.empty()) {
      const auto of = [&](int limbs) { return static_cast<std::ptrdiff_t>(2 * e.blocks.size()) * limbs; };
      give_places(e, of(level.limbs - e.level.absent), static_cast<std::ptrdiff_t>(e.places.size()));
      give_places(e, 0, of(level.absent - e.level.absent));
    }
    e.level = level;
    ++it;
  }
}

void Store::clear() {
  for (auto& [item, e] : entries_) drop_places(e);
  entries_.clear();
}

void Store::drop_places(Entry& e) { give_places(e, 0, static_cast<std::ptrdiff_t>(e.places.size())); }

void Store::give_places(Entry& e, std::ptrdiff_t first, std::ptrdiff_t end) {
  std::for_each(e.places.begin() + first, e.places.begin() + end, [&](std::uint64_t p) { file_.give(p); });
  e.places.erase(e.places.begin() + first, e.places.begin() + end);
}

}  // namespace sotto::runtime
