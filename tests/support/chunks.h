#pragma once

#include <zlib.h>

#include <string>

#include "support/files.h"

namespace sotto::test {

inline void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }
inline void append(Bytes& out, const std::string& text) { out.insert(out.end(), text.begin(), text.end()); }

/// The low `bytes` bytes of a number, last byte first or first byte first.
inline Bytes little_endian(std::uint64_t value, int bytes) {
  Bytes out;
  for (int k = 0; k < bytes; ++k) out.push_back(static_cast<unsigned char>(value >> (8 * k)));
  return out;
}
inline Bytes big_endian(std::uint64_t value, int bytes) {
  const Bytes little = little_endian(value, bytes);
  return {little.rbegin(), little.rend()};
}

/// Compressed with zlib; window_bits as for deflateInit2: -15 raw, 15 zlib, 31 gzip.
inline Bytes deflated(const Bytes& bytes, int window_bits) {
  z_stream z{};
  if (deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("zlib");
  Bytes out(deflateBound(&z, bytes.size()) + 64);
  z.next_in = const_cast<Bytef*>(bytes.data());
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("zlib");
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline std::uint32_t checksum(const Bytes& bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}

/// A PNG chunk.
inline Bytes png_chunk(const std::string& kind, const Bytes& body) {
  Bytes checked(kind.begin(), kind.end()), out = big_endian(body.size(), 4);
  append(checked, body);
  append(out, checked);
  append(out, big_endian(checksum(checked), 4));
  return out;
}

/// A PNG of these rows, each with its filter byte; `extra`: chunks before the pixels.
inline Bytes png(std::uint32_t width, std::uint32_t height, int depth, int colour, const Bytes& rows,
                 const Bytes& extra = {}) {
  Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, header = big_endian(width, 4);
  append(header, big_endian(height, 4));
  append(header, Bytes{static_cast<unsigned char>(depth), static_cast<unsigned char>(colour), 0, 0, 0});
  append(out, png_chunk("IHDR", header));
  append(out, extra);
  append(out, png_chunk("IDAT", deflated(rows, 15)));
  append(out, png_chunk("IEND", {}));
  return out;
}

/// A NumPy array; `header`: the dictionary.
inline Bytes npy(const std::string& header, const Bytes& data) {
  Bytes out = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
  append(out, little_endian(header.size() + 1, 2));
  append(out, header + "\n");
  append(out, data);
  return out;
}
inline Bytes npy(const std::string& type, const std::string& shape, const Bytes& data) {
  return npy("{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }", data);
}

/// A ZIP file of one or more members.
inline Bytes zip(const std::vector<std::pair<std::string, Bytes>>& members, bool packed) {
  Bytes out, directory;
  for (const auto& [name, bytes] : members) {
    const Bytes body = packed ? deflated(bytes, -15) : bytes;
    Bytes fields = little_endian(20, 2);
    append(fields, little_endian(0, 2));
    append(fields, little_endian(packed ? 8 : 0, 2));
    append(fields, little_endian(0, 4));
    append(fields, little_endian(checksum(bytes), 4));
    append(fields, little_endian(body.size(), 4));
    append(fields, little_endian(bytes.size(), 4));
    append(fields, little_endian(name.size(), 2));
    append(fields, little_endian(0, 2));
    append(directory, Bytes{'P', 'K', 1, 2, 20, 0});
    append(directory, fields);
    append(directory, Bytes(10));
    append(directory, little_endian(out.size(), 4));
    append(directory, name);
    append(out, Bytes{'P', 'K', 3, 4});
    append(out, fields);
    append(out, name);
    append(out, body);
  }
  const std::size_t start = out.size();
  append(out, directory);
  append(out, Bytes{'P', 'K', 5, 6, 0, 0, 0, 0});
  append(out, little_endian(members.size(), 2));
  append(out, little_endian(members.size(), 2));
  append(out, little_endian(directory.size(), 4));
  append(out, little_endian(start, 4));
  append(out, little_endian(0, 2));
  return out;
}

}  // namespace sotto::test
