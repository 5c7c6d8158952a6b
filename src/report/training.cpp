#include "report/training.h"

#include <cmath>

namespace sotto::report {

using nlohmann::json;

namespace {

json number(double v) { return std::isfinite(v) ? json(v) : json(); }
json number(std::optional<double> v) { return v ? number(*v) : json(); }
json number_if_positive(double v) { return v > 0 ? number(v) : json(); }

}  // namespace

json to_json(const Training& t) {
  // Figures of encrypted training; those that cannot be zero are unknown then.
  const auto encrypted = [&t](auto v) { return t.simulated ? json() : json(v); };
  const auto seconds = [&t](double v) { return t.simulated ? json() : number(v); };
  const auto positive = [&t](auto v) { return t.simulated || v == 0 ? json() : number(static_cast<double>(v)); };
  const auto count = [&t](auto v) { return t.simulated || v == 0 ? json() : json(v); };

  json loss = json::array(), float_loss = json::array(), accuracies = json::array(), float_accuracies = json::array(),
       distances = json::array(), step_seconds = json::array(), kinds = json::object();
  for (const TrainingStep& s : t.steps) {
    loss.push_back(t.simulated ? number(s.float_loss) : number(s.loss));
    float_loss.push_back(number(s.float_loss));
    accuracies.push_back(t.simulated ? json() : number(s.accuracy));
    float_accuracies.push_back(number(s.float_accuracy));
    distances.push_back(number(s.weight_relative_error));
    step_seconds.push_back(positive(s.seconds));
  }
  for (const auto& [kind, s] : t.seconds_by_kind) kinds[kind] = number(s);
  const auto last = [](const json& list) { return list.empty() ? json() : list.back(); };

  return {{"network", t.network},
          {"dataset", t.dataset},
          {"simulated", t.simulated},
          {"noise", number_if_positive(t.noise)},
          {"layers", t.layers},
          {"weights", t.weights},
          {"steps", t.steps.size()},
          {"batch", t.batch},
          {"images", t.images},
          {"batches", t.batches},
          {"test_images", t.test_images},
          {"range", number(t.range)},
          {"largest_weight", number(t.largest_weight)},
          {"largest_velocity", number(t.largest_velocity)},
          {"overflow_step", t.overflow >= 0 ? json(t.overflow) : json()},
          {"images_out_of_range", t.images_out_of_range},
          {"accuracy_before", number(t.accuracy_before)},
          {"accuracy", last(accuracies)},
          {"float_accuracy", last(float_accuracies)},
          {"weight_relative_error", last(distances)},
          {"loss", loss},
          {"loss_source", t.simulated ? "float twin" : "decrypted"},
          {"float_loss", float_loss},
          {"accuracies", accuracies},
          {"float_accuracies", float_accuracies},
          {"weight_relative_errors", distances},
          {"step_seconds", step_seconds},
          {"seconds_per_step", positive(t.seconds_per_step)},
          {"predicted_seconds_per_step", number_if_positive(t.predicted_seconds_per_step)},
          {"feature_seconds", seconds(t.feature_seconds)},
          {"predicted_feature_seconds", number_if_positive(t.predicted_feature_seconds)},
          {"training_seconds", positive(t.training_seconds)},
          {"seconds_by_kind", t.simulated ? json() : kinds},
          {"compile_seconds", seconds(t.compile_seconds)},
          {"keygen_seconds", seconds(t.keygen_seconds)},
          {"encrypt_seconds", seconds(t.encrypt_seconds)},
          {"decrypt_seconds", seconds(t.decrypt_seconds)},
          {"peak_rss_bytes", count(t.peak_rss_bytes)},
          {"predicted_peak_bytes", count(t.predicted_peak_bytes)},
          {"eval_key_bytes", count(t.eval_key_bytes)},
          {"input_bytes", count(t.input_bytes)},
          {"output_bytes", count(t.output_bytes)},
          {"bootstraps_per_step", encrypted(t.bootstraps_per_step)},
          {"key_switches_per_step", encrypted(t.key_switches_per_step)},
          {"ciphertext_products_per_step", encrypted(t.ciphertext_products_per_step)},
          {"security_bits", count(t.security_bits)},
          {"log2_qp", positive(t.log2_qp)},
          {"ring_dimension", count(t.ring_dimension)},
          {"ciphertext_primes", count(t.ciphertext_primes)},
          {"special_primes", count(t.special_primes)},
          {"threads", count(t.threads)},
          {"cpu_kernels", t.simulated || t.kernels.empty() ? json() : json(t.kernels)}};
}

}  // namespace sotto::report
