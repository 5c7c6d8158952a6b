#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "base/text.h"
#include "client/sheet.h"
#include "report/page_parts.h"
#include "report/style.h"
#include "report/svg_axis.h"
#include "report/svg_distribution.h"
#include "report/svg_packing.h"
#include "report/svg_plot.h"
#include "report/text.h"
#include "wire/atomic_file.h"

namespace sotto::report {

namespace {

constexpr std::size_t kMostImages = 200, kMostClasses = 20;

std::string tiles(const Evaluation& e) {
  const PartFigures all = e.total();
  const auto per_image = [&](std::uint64_t n) {
    return (e.images == 0 ? "unknown" : bytes(n / e.images)) + " per image";
  };
  std::string out = "<div class=\"tiles\">\n";
  out += tile("accuracy on encrypted images", percent(e.accuracy()),
              e.labelled > 0 ? fmt::format("{} of {}; float model {}", whole(e.correct), whole(e.labelled),
                                           percent(e.plain_accuracy()))
                             : "the images have no true labels");
  out += tile("agreement with float model", percent(e.agreement()),
              fmt::format("{} of {} labels", whole(e.agree), whole(e.images)));
  if (!e.doubtful.empty())
    out +=
        tile("doubtful results", whole(e.doubtful.size()), "agreement of the others " + percent(e.certain_agreement()));
  out += tile(
      "seconds per image", brief(e.seconds_per_image()),
      fmt::format("{} for all, predicted {}", format_seconds(all.wall_seconds), format_seconds(all.predicted_seconds)));
  out += tile("peak memory of inference", bytes(all.peak_rss_bytes), "predicted " + bytes(all.predicted_peak_bytes));
  out += tile("evaluation keys", bytes(all.eval_key_bytes), "sent to the server once");
  out += tile("encrypted images", bytes(e.input_bytes), per_image(e.input_bytes));
  out += tile("encrypted scores", bytes(e.output_bytes), per_image(e.output_bytes));
  out += tile("security", e.security, fmt::format("ring rank {}, log2(QP) {:.0f}", whole(e.ring_dimension), e.log2_qp));
  return out + "</div>\n";
}

using Layers = std::vector<LayerFigures>;

template <class F>
std::vector<double> column(const Layers& layers, F figure) {
  std::vector<double> out;
  for (const LayerFigures& l : layers) out.push_back(static_cast<double>(std::invoke(figure, l)));
  return out;
}

std::vector<std::string> layer_names(const Layers& layers) {
  std::vector<std::string> out;
  for (const LayerFigures& l : layers) out.push_back(fmt::format("{}  {}", out.size() + 1, l.name));
  return out;
}

std::string time_plot(const Layers& layers) {
  return stacked_bars({.title = "Seconds per layer, measured and predicted",
                       .unit = "s",
                       .axis = "seconds",
                       .labels = layer_names(layers),
                       .series = {{"rotate", column(layers, &LayerFigures::rotate_seconds)},
                                  {"linear", column(layers, &LayerFigures::linear_seconds)},
                                  {"activate", column(layers, &LayerFigures::activate_seconds)}},
                       .marks = Series{"predicted", column(layers, &LayerFigures::predicted_seconds)}});
}

std::string memory_plot(double peak, const Layers& layers) {
  std::vector<double> predicted = column(layers, &LayerFigures::predicted_peak_bytes);
  const bool large = std::max(largest_of(predicted), peak) >= 1 << 30;
  const double unit = large ? 1 << 30 : 1 << 20;
  for (double& p : predicted) p /= unit;
  return step_plot({.title = "Memory per layer",
                    .unit = large ? "GiB" : "MiB",
                    .axis = "layer",
                    .labels = layer_names(layers),
                    .series = {"predicted during the layer", std::move(predicted)},
                    .levels = {{"measured peak of the process", peak / unit}}});
}

std::string packing(const Evaluation& e) {
  std::string out =
      "<div class=\"packing\">" +
      facts({{"images per run", whole(e.batch)},
             {"runs", whole(e.total().batches)},
             {"channels per ciphertext", whole(e.group)},
             {"tile", fmt::format("{} x {} positions of a channel", e.tile.h, e.tile.w)},
             {"ciphertexts per input", whole(e.input_ciphertexts)},
             {"ring", fmt::format("{}, rank {}", e.ring, whole(e.ring_dimension))},
             {"primes", fmt::format("{} for ciphertexts, {} special", e.ciphertext_primes, e.special_primes)}});
  if (e.batch >= 1 && e.group >= 1) out += packing_picture(e.batch, e.group, e.tile);
  return out + "</div>\n";
}

std::string layer_table(const Layers& layers) {
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
  for (const LayerFigures& l : layers) {
    measured += l.seconds();
    predicted += l.predicted_seconds;
    row({fmt::format("{}", ++index), l.name, fmt::format("{} x {} x {}", l.channels, l.height, l.width),
         whole(l.ciphertexts), whole(l.limbs), fixed(l.rotate_seconds, 2), fixed(l.linear_seconds, 2),
         fixed(l.activate_seconds, 2), fixed(l.seconds(), 2), fixed(l.predicted_seconds, 2),
         fixed(l.seconds() / l.predicted_seconds, 2), bytes(l.predicted_peak_bytes)});
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

void write_page(const std::filesystem::path& path, const Evaluation& e, const std::vector<images::Image>& images,
                const client::Scores& scores, const client::Scores& plain, const std::vector<Doubt>& doubts,
                const plan::Interface& io) {
  std::string page = page_start(e.network, kReportStyle);
  page += fmt::format(
      "<p>Encrypted images: {}, threads: {}, kernels: {}. Compared with the float model on the same images.</p>\n",
      whole(e.images), e.threads, safe(e.cpu_kernels));
  page += tiles(e);
  page +=
      section("Time",
              "Seconds per layer over all runs: rotated copies, linear map, activation with rescaling. The mark on a "
              "bar is the prediction, from kernels timed on this machine.",
              time_plot(e.layers));
  page += section("Memory", "What the plan says that each layer needs, beside the most that the process had.",
                  memory_plot(static_cast<double>(e.total().peak_rss_bytes), e.layers));
  page += section("Packing", "What a ciphertext holds, chosen to serve this number of images in the least time.",
                  packing(e));
  page += section("Layers", "Seconds over all runs; ratio: measured over predicted; memory: predicted.",
                  layer_table(e.layers));
  page += section("Scores",
                  fmt::format("How far the encrypted scores are from those of the float model (rms {}, largest {}), "
                              "beside the lead that a label has in the float model. A label can change where an error "
                              "comes near a lead.",
                              scientific(e.rms_error), scientific(e.largest_error)),
                  error_plot(scores, plain));
  if (const std::string labels = confusion(images, scores, io); !labels.empty())
    page += section("Labels", "True classes against the labels of the encrypted images.", labels);
  page += section("Images",
                  images.size() > kMostImages ? fmt::format("The first {} of {}.", kMostImages, images.size())
                                              : "The label of every image, and how sure the network is.",
                  gallery(images, scores, plain, doubts, io));
  wire::write_file(path, page + page_end("sotto evaluate"));
}

}  // namespace sotto::report
