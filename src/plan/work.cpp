#include "plan/work.h"

namespace sotto::plan {

Work& Work::operator+=(const Work& o) {
  transforms += o.transforms;
  layer_macs += o.layer_macs;
  basis_macs += o.basis_macs;
  words += o.words;
  fresh_bytes += o.fresh_bytes;
  weights += o.weights;
  embedded_words += o.embedded_words;
  key_bytes += o.key_bytes;
  disk_bytes += o.disk_bytes;
  return *this;
}

Work Work::operator*(double times) const {
  return {transforms * times, layer_macs * times,     basis_macs * times, words * times,     fresh_bytes * times,
          weights * times,    embedded_words * times, key_bytes * times,  disk_bytes * times};
}

double Work::seconds(const Speed& s) const {
  return (transforms * s.transform + layer_macs * s.layer_mac + basis_macs * s.basis_mac + words * s.pointwise +
          fresh_bytes * s.fresh + weights * s.weight + embedded_words * s.embedding + key_bytes * s.key_byte) /
             speed_up(s.threads) +
         disk_bytes * s.disk;
}

}  // namespace sotto::plan
