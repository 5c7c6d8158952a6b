#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <functional>
#include <limits>

#include "base/text.h"
#include "report/page_parts.h"
#include "report/style.h"
#include "report/svg_axis.h"
#include "report/svg_lines.h"
#include "report/svg_plot.h"
#include "report/text.h"
#include "report/training.h"

namespace sotto::report {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::string kEncrypted = "encrypted", kTwin = "float twin";

std::string bytes_or_unknown(std::uint64_t n) { return n == 0 ? "unknown" : bytes(n); }
std::string known(std::integral auto n) { return n == 0 ? "unknown" : whole(n); }
std::string known(const std::string& text) { return text.empty() ? "unknown" : text; }
std::string seconds_or_unknown(double s) { return s > 0 && std::isfinite(s) ? format_seconds(s) : "unknown"; }
std::string counted(std::integral auto n, const std::string& noun, const std::string& ending = "s") {
  return whole(n) + " " + noun + (n == 1 ? "" : ending);
}

// The number of the first step that means nothing, counted from 1; -1: none.
int void_from(const Training& t) { return t.overflow < 0 ? -1 : t.overflow + 1; }

std::string warning(const Training& t) {
  if (!std::isfinite(t.range))
    return fmt::format(
        "<section class=\"warning\" role=\"note\"><h2>Results from step {0} on mean nothing</h2>\n<p>The normal "
        "equations of step {0} have no solution, or errors of encryption change it by more than 5 % of its size. Train "
        "again "
        "with features of about the size 1 that differ from each other, or with a larger ridge.</p></section>\n",
        whole(void_from(t)));
  const std::string range = brief(t.range);
  return fmt::format(
      "<section class=\"warning\" role=\"note\"><h2>Results from step {0} on mean nothing</h2>\n<p>In step {0} of {1} "
      "a weight or a velocity left the range of {2} to {3}, which encrypted training holds, or the scores of an image "
      "that of their loss. {4} Train again with a "
      "larger range, a lower rate or fewer steps.</p></section>\n",
      whole(void_from(t)), whole(t.steps.size()), safe("-" + range), safe(range),
      t.simulated ? "Encrypted losses, accuracies and weights of that step and all later ones would be noise."
                  : "Encrypted losses, accuracies and weights of that step and all later ones are noise, whatever they "
                    "look like.");
}

std::string range_warning(const Training& t) {
  return fmt::format(
      "<section class=\"warning\" role=\"note\"><h2>{0} left the range</h2>\n<p>Values of {0} left the range of the "
      "layers in "
      "front of those that are trained, or lie beside such. What they taught the weights means little, or nothing if a "
      "whole "
      "run was spoiled. Leave such images out, or calibrate on images like them.</p></section>\n",
      counted(t.images_out_of_range, "image"));
}

std::string tiles(const Training& t) {
  const TrainingStep last = t.steps.empty() ? TrainingStep{} : t.steps.back();
  const std::string images = t.test_images > 0 ? "on " + counted(t.test_images, "test image") : "not measured";
  const std::string after = "after " + counted(t.steps.size(), "step");
  std::string out = "<div class=\"tiles\">\n" + tile("accuracy before training", percent(t.accuracy_before), images);
  const std::string nothing = "means nothing: see above";
  if (!t.simulated)
    out += tile("accuracy, trained encrypted", percent(last.accuracy), t.overflow >= 0 ? nothing : after);
  out += tile("accuracy, float twin", percent(last.float_accuracy), after + " in float64");
  if (t.simulated) return out + "</div>\n";
  out += tile("distance of the weights", scientific(last.weight_relative_error.value_or(kNaN)),
              t.overflow >= 0 ? nothing : "from the float twin's, relative");
  out +=
      tile("seconds per step", t.seconds_per_step > 0 ? brief(t.seconds_per_step) : "unknown",
           (t.predicted_seconds_per_step > 0 ? "predicted " + brief(t.predicted_seconds_per_step) + "; " : "median; ") +
               counted(t.batch, "image") + " per step");
  out += tile("all steps", seconds_or_unknown(t.training_seconds), "of the server's process");
  out += tile("peak memory of training", bytes_or_unknown(t.peak_rss_bytes),
              "predicted " + bytes_or_unknown(t.predicted_peak_bytes));
  out += tile("evaluation keys", bytes_or_unknown(t.eval_key_bytes), "sent to the server once");
  const std::uint64_t used = t.batches * static_cast<std::uint64_t>(std::max(t.batch, 0));
  out += tile("encrypted images", bytes_or_unknown(t.input_bytes),
              used == 0 ? "with their labels" : bytes_or_unknown(t.input_bytes / used) + " per image");
  out += tile("encrypted results", bytes_or_unknown(t.output_bytes), "weights and losses");
  out += tile("security", t.security_bits > 0 ? fmt::format("{} bits", t.security_bits) : "unknown",
              fmt::format("ring rank {}, log2(QP) {}", known(t.ring_dimension),
                          t.log2_qp > 0 ? fixed(t.log2_qp, 0) : "unknown"));
  out +=
      tile("bootstraps per step", whole(t.bootstraps_per_step), counted(t.key_switches_per_step, "key switch", "es"));
  return out + "</div>\n";
}

template <class F>
Series series(const Training& t, const std::string& name, F value) {
  Series out{name, {}};
  for (const TrainingStep& s : t.steps)
    out.values.push_back(std::optional<double>(std::invoke(value, s)).value_or(kNaN));
  return out;
}

bool any(const std::vector<Series>& all) {
  return std::ranges::any_of(
      all, [](const Series& s) { return std::ranges::any_of(s.values, [](double v) { return std::isfinite(v); }); });
}

LinePlot plot_of(const Training& t, const std::string& title, const std::string& values, std::vector<Series> lines) {
  return {.title = title,
          .unit = "",
          .axis = "step",
          .values = values,
          .series = std::move(lines),
          .void_from = void_from(t),
          .void_name = "means nothing"};
}

// The largest value of a step that means something; infinite if all do or none does. Noise does not set an axis.
double largest_sound(const Training& t, const std::vector<double>& values) {
  if (t.overflow < 0) return HUGE_VAL;
  const auto sound = static_cast<std::ptrdiff_t>(std::min(static_cast<std::size_t>(t.overflow), values.size()));
  const double most = largest_of({values.begin(), values.begin() + sound});
  return most > 0 ? most : HUGE_VAL;
}

std::string loss_section(const Training& t) {
  const Series encrypted =
      series(t, kEncrypted, [&t](const TrainingStep& s) { return t.simulated ? std::nullopt : s.loss; });
  const Series twin = series(t, kTwin, &TrainingStep::float_loss);
  if (!any({encrypted, twin})) return "";
  LinePlot plot = plot_of(t, "Loss of every step", "loss", {encrypted, twin});
  plot.most = 2 * largest_sound(t, twin.values);
  return section("Loss",
                 t.simulated ? "Of the float twin: mean over the images of the step, before its update."
                             : "Mean over the images of the step, before its update. Where the encrypted line lies on "
                               "the float twin's, the two trainings do the same.",
                 line_plot(plot));
}

std::string accuracy_section(const Training& t) {
  const auto percents = [&t](Series s) {
    s.values.insert(s.values.begin(), t.accuracy_before.value_or(kNaN));
    for (double& v : s.values) v *= 100;
    return s;
  };
  Series encrypted =
      series(t, kEncrypted, [&t](const TrainingStep& s) { return t.simulated ? std::nullopt : s.accuracy; });
  Series twin = series(t, kTwin, [](const TrainingStep& s) { return s.float_accuracy; });
  if (!any({encrypted, twin})) return "";
  if (any({encrypted})) encrypted = percents(std::move(encrypted));
  if (any({twin})) twin = percents(std::move(twin));
  LinePlot plot = plot_of(t, "Accuracy after every step", "test images with the right label, %",
                          {std::move(encrypted), std::move(twin)});
  plot.first = 0;
  plot.unit = "%";
  plot.heights = Heights::fitted;
  plot.bridged = true;
  return section("Accuracy", "On the test images, with the weights after the step; at 0, before training.",
                 line_plot(plot));
}

std::string distance_section(const Training& t) {
  Series distance = series(t, "distance", [](const TrainingStep& s) { return s.weight_relative_error; });
  if (!any({distance})) return "";
  const double most = 10 * largest_sound(t, distance.values);
  double smallest = HUGE_VAL, largest = 0;
  for (double v : distance.values)
    if (v > 0 && std::isfinite(v) && v <= most) {
      smallest = std::min(smallest, v);
      largest = std::max(largest, v);
    }
  const std::string whose = t.simulated ? "weights with simulated errors" : "encrypted weights";
  LinePlot plot = plot_of(t, "Distance of the " + whose + " from the float twin's after every step",
                          "relative distance of the weights", {std::move(distance)});
  plot.bridged = true;
  plot.most = most;
  // Powers of ten would flatten a line that stays within few of them.
  if (largest > 20 * smallest) plot.heights = Heights::logarithmic;
  return section(
      "Weights",
      "How far the encrypted weights are from those of the float twin after the step, as a part of the length "
      "of the twin's. It is what encryption adds to training.",
      line_plot(plot));
}

std::string kinds_section(const Training& t) {
  if (t.simulated || t.seconds_by_kind.empty()) return "";
  std::vector<std::pair<std::string, double>> kinds(t.seconds_by_kind.begin(), t.seconds_by_kind.end());
  std::ranges::stable_sort(kinds, [](const auto& a, const auto& b) {
    const auto size = [](double v) { return std::isfinite(v) ? v : -1; };
    return size(a.second) > size(b.second);
  });
  std::vector<std::string> labels;
  Series seconds{"time", {}};
  for (const auto& [kind, s] : kinds) {
    labels.push_back(kind);
    seconds.values.push_back(s);
  }
  return section("Time", "Where the time of a step goes, by kind of ciphertext operation.",
                 stacked_bars({.title = "Seconds per step by kind of ciphertext operation",
                               .unit = "s",
                               .axis = "seconds per step",
                               .labels = std::move(labels),
                               .series = {std::move(seconds)},
                               .marks = std::nullopt}));
}

std::string facts_section(const Training& t) {
  std::string layers;
  for (const auto& l : t.layers) layers += (layers.empty() ? "" : ", ") + l;
  std::vector<std::pair<std::string, std::string>> rows{
      {"network", known(t.network)},
      {"data set", known(t.dataset)},
      {"trained layers", known(shortened(layers, 400))},
      {"trained weights", known(t.weights)},
      {"images", fmt::format("{}, in {} of {}", whole(t.images), counted(t.batches, "batch", "es"), whole(t.batch))},
      {"steps", whole(t.steps.size())},
      {"test images", t.test_images == 0 ? "none" : whole(t.test_images)},
      {"range", fmt::format("{}; the float twin's weights reached {}, its velocities {}",
                            std::isfinite(t.range) ? brief(t.range) : "any", brief(t.largest_weight),
                            brief(t.largest_velocity))}};
  const auto row = [&rows](const std::string& name, const std::string& value) { rows.emplace_back(name, value); };
  if (!t.simulated) {
    row("ring rank", known(t.ring_dimension));
    row("primes", fmt::format("{} for ciphertexts, {} special", t.ciphertext_primes, t.special_primes));
    row("key switches per step", whole(t.key_switches_per_step));
    row("products of ciphertexts per step", whole(t.ciphertext_products_per_step));
    row("compilation", seconds_or_unknown(t.compile_seconds));
    row("keys", seconds_or_unknown(t.keygen_seconds));
    row("encryption", seconds_or_unknown(t.encrypt_seconds));
    row("training", seconds_or_unknown(t.training_seconds));
    row("decryption", seconds_or_unknown(t.decrypt_seconds));
    row("threads", known(t.threads));
    row("kernels", known(t.kernels));
  }
  return section("Facts", "What was trained, and what it took.", facts(rows));
}

}  // namespace

std::string training_page(const Training& t) {
  std::string page = page_start(t.network, std::string(kReportStyle) + kLineStyle);
  page += fmt::format("<p>{}</p>\n",
                      t.simulated ? "Training simulated in float64: nothing was encrypted."
                                  : "Trained on encrypted images, beside a float twin: the same training in float64.");
  if (t.overflow >= 0) page += warning(t);
  if (t.images_out_of_range > 0) page += range_warning(t);
  return page + tiles(t) + loss_section(t) + accuracy_section(t) + distance_section(t) + kinds_section(t) +
         facts_section(t) + page_end("sotto train");
}

}  // namespace sotto::report
