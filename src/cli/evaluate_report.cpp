#include "cli/evaluate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/report_style.h"
#include "cli/report_text.h"
#include "cli/svg_axis.h"
#include "cli/svg_distribution.h"
#include "cli/svg_packing.h"
#include "cli/svg_plot.h"
#include "client/sheet.h"
#include "wire/atomic_file.h"

namespace sotto::cli {

namespace {

using nlohmann::json;

constexpr std::size_t kMostImages = 200, kMostClasses = 20;

std::string tile(const std::string& name, const std::string& value, const std::string& note) {
  return fmt::format(
      "<div class=\"tile\"><div class=\"name\">{}</div><div class=\"value\">{}</div><div "
      "class=\"note\">{}</div></div>\n",
      safe(name), safe(value), safe(note));
}

std::string section(const std::string& title, const std::string& text, const std::string& content) {
  return fmt::format("<section><h2>{}</h2>\n<p>{}</p>\n<div class=\"wide\">{}</div></section>\n", safe(title),
                     safe(text), content);
}

std::string tiles(const json& r) {
  const double images = number(r, "images"), input = number(r, "input_bytes"), correct = number(r, "correct");
  std::string out = "<div class=\"tiles\">\n";
  out += tile("accuracy on encrypted images", percent(number(r, "accuracy")),
              std::isfinite(number(r, "accuracy")) ? fmt::format("{} of {}; float model {}", whole(correct),
                                                                 whole(images), percent(number(r, "plain_accuracy")))
                                                   : "the images have no true labels");
  out += tile("agreement with float model", percent(number(r, "label_agreement")),
              fmt::format("{} of {} labels", whole(std::round(number(r, "label_agreement") * images)), whole(images)));
  if (const auto doubtful = r.value("doubtful", json::array()); !doubtful.empty())
    out += tile("doubtful results", fmt::format("{}", doubtful.size()),
                "agreement of the others " + percent(number(r, "certain_label_agreement")));
  out += tile("seconds per image", brief(number(r, "amortized_seconds_per_image")),
              fmt::format("{} for all, predicted {}", seconds(number(r, "wall_seconds")),
                          seconds(number(r, "predicted_seconds"))));
  out += tile("peak memory of inference", bytes(number(r, "peak_rss_bytes")),
              "predicted " + bytes(number(r, "predicted_peak_bytes")));
  out += tile("evaluation keys", bytes(number(r, "eval_key_bytes")), "sent to the server once");
  out += tile("encrypted images", bytes(input), bytes(input / images) + " per image");
  out += tile("encrypted scores", bytes(number(r, "output_bytes")),
              bytes(number(r, "output_bytes") / images) + " per image");
  out += tile(
      "security", whole(number(r, "security_bits")) + " bits",
      fmt::format("ring rank {}, log2(QP) {}", whole(number(r, "ring_dimension")), fixed(number(r, "log2_qp"), 0)));
  return out + "</div>\n";
}

std::vector<double> column(const json& steps, const char* name, double unit = 1) {
  std::vector<double> out;
  for (const auto& s : steps) out.push_back(number(s, name) / unit);
  return out;
}

std::vector<std::string> layer_names(const json& steps) {
  std::vector<std::string> out;
  for (const auto& s : steps) out.push_back(fmt::format("{}  {}", out.size() + 1, words(s, "name")));
  return out;
}

std::string time_plot(const json& steps) {
  return stacked_bars({.title = "Seconds per layer, measured and predicted",
                       .unit = "s",
                       .axis = "seconds",
                       .labels = layer_names(steps),
                       .series = {{"rotate", column(steps, "rotate_seconds")},
                                  {"linear", column(steps, "linear_seconds")},
                                  {"activate", column(steps, "activate_seconds")}},
                       .marks = Series{"predicted", column(steps, "predicted_seconds")}});
}

std::string memory_plot(const json& r, const json& steps) {
  const auto predicted = column(steps, "predicted_peak_bytes");
  const double peak = number(r, "peak_rss_bytes"), most = std::max(largest_of(predicted), largest_of({peak}));
  const bool large = most >= 1 << 30;
  const double unit = large ? 1 << 30 : 1 << 20;
  return step_plot({.title = "Memory per layer",
                    .unit = large ? "GiB" : "MiB",
                    .axis = "layer",
                    .labels = layer_names(steps),
                    .series = {"predicted during the layer", column(steps, "predicted_peak_bytes", unit)},
                    .levels = {{"measured peak of the process", peak / unit}}});
}

std::string packing(const json& r) {
  std::string out = "<div class=\"packing\"><table class=\"facts\">\n";
  const auto row = [&out](const std::string& name, const std::string& value) {
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", safe(name), safe(value));
  };
  const std::string t = whole(number(r, "tile"));
  row("images per run", whole(number(r, "batch")));
  row("runs", whole(number(r, "batches")));
  row("channels per ciphertext", whole(number(r, "group")));
  row("tile", fmt::format("{} x {} positions of a channel", t, t));
  row("ciphertexts per input", whole(number(r, "input_ciphertexts")));
  row("ring", fmt::format("{}, rank {}", words(r, "ring"), whole(number(r, "ring_dimension"))));
  row("primes", fmt::format("{} for ciphertexts, {} special", whole(number(r, "ciphertext_primes")),
                            whole(number(r, "special_primes"))));
  out += "</table>\n";
  const double images = number(r, "batch"), group = number(r, "group"), side = number(r, "tile");
  if (images >= 1 && group >= 1 && side >= 1)
    out += packing_picture(static_cast<int>(images), static_cast<int>(group), static_cast<int>(side));
  return out + "</div>\n";
}

std::string layer_table(const json& steps) {
  std::string out =
      "<table class=\"layers\"><thead><tr><th>#</th><th>layer</th><th>output</th><th>ciphertexts</th><th>limbs</th>"
      "<th>rotate</th><th>linear</th><th>activate</th><th>measured</th><th>predicted</th><th>ratio</th>"
      "<th>memory</th></tr></thead>\n<tbody>\n";
  const auto row = [&out](const std::vector<std::string>& cells) {
    out += "<tr>";
    for (const auto& c : cells) out += "<td>" + safe(c) + "</td>";
    out += "</tr>\n";
  };
  double measured = 0, predicted = 0;
  std::size_t index = 0;
  for (const auto& s : steps) {
    std::string shape;
    if (const auto it = s.find("output"); it != s.end())
      for (const auto& side : *it) shape += (shape.empty() ? "" : " x ") + side.dump();
    const double m = number(s, "seconds"), p = number(s, "predicted_seconds");
    measured += m;
    predicted += p;
    row({fmt::format("{}", ++index), words(s, "name"), shape, whole(number(s, "ciphertexts")),
         whole(number(s, "limbs")), fixed(number(s, "rotate_seconds"), 2), fixed(number(s, "linear_seconds"), 2),
         fixed(number(s, "activate_seconds"), 2), fixed(m, 2), fixed(p, 2), fixed(m / p, 2),
         bytes(number(s, "predicted_peak_bytes"))});
  }
  out += "</tbody>\n<tfoot>";
  row({"", "all layers", "", "", "", "", "", "", fixed(measured, 2), fixed(predicted, 2),
       fixed(measured / predicted, 2), ""});
  return out + "</tfoot></table>\n";
}

// Empty unless every true label is known and there are few classes.
std::string confusion(const std::vector<images::Image>& images, const client::Scores& scores,
                      const plan::Interface& io) {
  const std::size_t n = scores.empty() ? 0 : scores.front().size();
  if (n < 2 || n > kMostClasses) return "";
  Matrix plot{"Labels of encrypted images against true labels", "true class", "label of the encrypted image", {}, {}};
  for (std::size_t c = 0; c < n; ++c) plot.labels.push_back(client::class_name(io, static_cast<int>(c)));
  plot.counts.assign(n, std::vector<std::size_t>(n));
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto truth = static_cast<std::size_t>(images[i].label);
    if (images[i].label < 0 || truth >= n) return "";
    if (const int label = client::argmax(scores[i]); label >= 0) ++plot.counts[truth][static_cast<std::size_t>(label)];
  }
  return matrix(plot);
}

std::string error_plot(const client::Scores& scores, const client::Scores& plain) {
  Series errors{"error of a score", {}}, leads{"lead of the best score over the second", {}};
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (client::argmax(scores[i]) < 0) continue;
    for (std::size_t c = 0; c < plain[i].size(); ++c) errors.values.push_back(std::abs(scores[i][c] - plain[i][c]));
    auto sorted = plain[i];
    std::ranges::sort(sorted, std::greater());
    if (sorted.size() > 1) leads.values.push_back(sorted[0] - sorted[1]);
  }
  return magnitudes({"Errors of scores beside the leads of labels", "size, in units of scores", {errors, leads}});
}

std::string gallery(const std::vector<images::Image>& images, const client::Scores& scores, const client::Scores& plain,
                    const std::vector<Doubt>& doubts, const plan::Interface& io) {
  std::string out = "<div class=\"gallery\">\n";
  for (std::size_t i = 0; i < std::min(images.size(), kMostImages); ++i) {
    const int label = client::argmax(scores[i]), truth = images[i].label, exact = client::argmax(plain[i]);
    const bool wrong = truth >= 0 && truth != label;
    const auto name = [&io](int c) { return safe(client::class_name(io, c)); };
    out += fmt::format(
        "<figure><img alt=\"{}\" src=\"{}\"><figcaption class=\"{}\">{}{}{}{}</figcaption></figure>\n",
        safe(images[i].name), client::data_uri(client::png_of(images[i], 1)),
        wrong        ? "wrong"
        : truth >= 0 ? "right"
                     : "",
        label < 0 ? "no result" : fmt::format("{} {:.0f}%", name(label), 100 * client::confidence(scores[i], label)),
        wrong ? "<br>is " + name(truth) : "", exact != label ? "<br>float model: " + name(exact) : "",
        doubts[i] != Doubt::none ? "<br>doubtful: " + safe(text_of(doubts[i])) : "");
  }
  return out + "</div>\n";
}

}  // namespace

void write_html_report(const std::filesystem::path& path, const json& r, const std::vector<images::Image>& images,
                       const client::Scores& scores, const client::Scores& plain, const std::vector<Doubt>& doubts,
                       const plan::Interface& io) {
  const json steps = r.value("steps", json::array());
  const std::string network = words(r, "network");
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';img-src data:;style-src "
      "'unsafe-inline'\">\n<title>Sotto: {0}</title>\n<style>{1}</style></head>\n<body>\n<h1>{0}</h1>\n"
      "<p>Encrypted images: {2}, threads: {3}, kernels: {4}. Compared with the float model on the same images.</p>\n",
      safe(network), kReportStyle, whole(number(r, "images")), whole(number(r, "threads")),
      safe(words(r, "cpu_kernels")));
  page += tiles(r);
  page +=
      section("Time",
              "Seconds per layer over all runs: rotated copies, linear map, activation with rescaling. The mark on a "
              "bar is the prediction, from kernels timed on this machine.",
              time_plot(steps));
  page += section("Memory", "What the plan says that each layer needs, beside the most that the process had.",
                  memory_plot(r, steps));
  page += section("Packing", "What a ciphertext holds, chosen to serve this number of images in the least time.",
                  packing(r));
  page += section("Layers", "Seconds over all runs; ratio: measured over predicted; memory: predicted.",
                  layer_table(steps));
  page += section("Scores",
                  fmt::format("How far the encrypted scores are from those of the float model (rms {}, largest {}), "
                              "beside the lead that a label has in the float model. A label can change where an error "
                              "comes near a lead.",
                              scientific(number(r, "rms_logit_error")), scientific(number(r, "max_abs_logit_error"))),
                  error_plot(scores, plain));
  if (const std::string labels = confusion(images, scores, io); !labels.empty())
    page += section("Labels", "True classes against the labels of the encrypted images.", labels);
  page += section("Images",
                  images.size() > kMostImages ? fmt::format("The first {} of {}.", kMostImages, images.size())
                                              : "The label of every image, and how sure the network is.",
                  gallery(images, scores, plain, doubts, io));
  wire::write_file(path, page + "<footer>Written by sotto evaluate.</footer>\n</body></html>\n");
}

}  // namespace sotto::cli
