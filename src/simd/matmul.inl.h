// What matrix products of all kinds share.

// Whether all sources and destinations share one modulus: then plain words serve as well as centred ones.
inline bool same_moduli(const MatmulArgs& g) {
  for (std::size_t c = 0; c < g.cols; ++c)
    if (g.src_mod[c]->q != g.dst_mod[0]->q) return false;
  for (std::size_t r = 0; r < g.rows; ++r)
    if (g.dst_mod[r]->q != g.dst_mod[0]->q) return false;
  return true;
}

// The word of a centred representative.
inline std::uint64_t residue_of_centred(double w, std::uint64_t q) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(w)) + (w < 0 ? q : 0);
}
