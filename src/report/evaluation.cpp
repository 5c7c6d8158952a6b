#include "report/evaluation.h"

#include <algorithm>

namespace sotto::report {

using nlohmann::json;

namespace {

std::optional<double> part(std::size_t some, std::size_t all) {
  if (all == 0) return std::nullopt;
  return static_cast<double>(some) / static_cast<double>(all);
}

json or_null(std::optional<double> v) { return v ? json(*v) : json(); }

json to_json(const PartFigures& p) {
  return {{"images", p.images},
          {"batch", p.batch},
          {"batches", p.batches},
          {"tile", {p.tile.h, p.tile.w}},
          {"group", p.group},
          {"bootstraps", p.bootstraps},
          {"wall_seconds", p.wall_seconds},
          {"predicted_seconds", p.predicted_seconds},
          {"peak_rss_bytes", p.peak_rss_bytes},
          {"predicted_peak_bytes", p.predicted_peak_bytes},
          {"eval_key_bytes", p.eval_key_bytes}};
}

json to_json(const LayerFigures& l) {
  return {{"name", l.name},
          {"output", {l.channels, l.height, l.width}},
          {"ciphertexts", l.ciphertexts},
          {"limbs", l.limbs},
          {"seconds", l.seconds()},
          {"rotate_seconds", l.rotate_seconds},
          {"linear_seconds", l.linear_seconds},
          {"activate_seconds", l.activate_seconds},
          {"disk_seconds", l.disk_seconds},
          {"predicted_seconds", l.predicted_seconds},
          {"predicted_peak_bytes", l.predicted_peak_bytes}};
}

}  // namespace

std::optional<double> Evaluation::accuracy() const { return part(correct, labelled); }
std::optional<double> Evaluation::plain_accuracy() const { return part(plain_correct, labelled); }
std::optional<double> Evaluation::certain_agreement() const { return part(certain_agree, certain); }
double Evaluation::agreement() const { return part(agree, images).value_or(1); }

PartFigures Evaluation::total() const {
  PartFigures all;
  for (const PartFigures& p : parts) {
    all.images += p.images;
    all.batches += p.batches;
    all.bootstraps += p.bootstraps;
    all.wall_seconds += p.wall_seconds;
    all.predicted_seconds += p.predicted_seconds;
    all.eval_key_bytes += p.eval_key_bytes;
    all.peak_rss_bytes = std::max(all.peak_rss_bytes, p.peak_rss_bytes);
    all.predicted_peak_bytes = std::max(all.predicted_peak_bytes, p.predicted_peak_bytes);
  }
  return all;
}

double Evaluation::seconds_per_image() const {
  return total().wall_seconds / static_cast<double>(std::max<std::size_t>(images, 1));
}

json to_json(const Evaluation& e) {
  const PartFigures all = e.total();
  json parts = json::array(), layers = json::array();
  for (const PartFigures& p : e.parts) parts.push_back(to_json(p));
  for (const LayerFigures& l : e.layers) layers.push_back(to_json(l));
  return {{"network", e.network},
          {"images", e.images},
          {"correct", e.correct},
          {"accuracy", or_null(e.accuracy())},
          {"plain_correct", e.plain_correct},
          {"plain_accuracy", or_null(e.plain_accuracy())},
          {"label_agreement", e.agreement()},
          {"predicted_label_agreement", e.predicted_agreement},
          {"predicted_rms_logit_error", e.predicted_rms_error},
          {"calibration_made_up", e.made_up},
          {"doubtful", e.doubtful},
          {"certain_label_agreement", or_null(e.certain_agreement())},
          {"max_abs_logit_error", e.largest_error},
          {"rms_logit_error", e.rms_error},
          {"wall_seconds", all.wall_seconds},
          {"amortized_seconds_per_image", e.seconds_per_image()},
          {"predicted_seconds", all.predicted_seconds},
          {"total_seconds", e.total_seconds},
          {"batches", all.batches},
          {"bootstraps", all.bootstraps},
          {"peak_rss_bytes", all.peak_rss_bytes},
          {"predicted_peak_bytes", all.predicted_peak_bytes},
          {"eval_key_bytes", all.eval_key_bytes},
          {"input_bytes", e.input_bytes},
          {"output_bytes", e.output_bytes},
          {"ring_dimension", e.ring_dimension},
          {"log2_qp", e.log2_qp},
          {"security_bits", e.security_bits},
          {"security", e.security},
          {"batch", e.batch},
          {"tile", {e.tile.h, e.tile.w}},
          {"group", e.group},
          {"input_ciphertexts", e.input_ciphertexts},
          {"ring", e.ring},
          {"ciphertext_primes", e.ciphertext_primes},
          {"special_primes", e.special_primes},
          {"threads", e.threads},
          {"cpu_kernels", e.cpu_kernels},
          {"labels", e.labels},
          {"parts", parts},
          {"steps", layers}};
}

}  // namespace sotto::report
