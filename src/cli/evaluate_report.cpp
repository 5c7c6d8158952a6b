#include "cli/evaluate_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/console.h"
#include "client/sheet.h"
#include "wire/writer.h"

namespace sotto::cli {

namespace {

constexpr std::size_t kMostImages = 200;

std::string percent(const nlohmann::json& v) {
  return v.is_null() ? "unknown" : fmt::format("{:.2f} %", 100 * v.get<double>());
}

std::string row(const std::string& name, const std::string& value) {
  return fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", name, client::escape_html(value));
}

std::string bar(double value, double largest, const char* kind) {
  return fmt::format("<div class=\"bar {}\" style=\"width:{:.1f}%\"></div>", kind,
                     largest > 0 ? 100 * value / largest : 0);
}

std::string layer_table(const nlohmann::json& steps) {
  double most_seconds = 0, most_bytes = 0;
  for (const auto& s : steps) {
    most_seconds = std::max({most_seconds, s["seconds"].get<double>(), s["predicted_seconds"].get<double>()});
    most_bytes = std::max(most_bytes, s["predicted_peak_bytes"].get<double>());
  }
  std::string out =
      "<table class=\"layers\"><tr><th>layer</th><th>output</th><th>limbs</th><th>time, measured over "
      "predicted</th><th></th>"
      "<th>memory, predicted</th><th></th></tr>\n";
  for (const auto& s : steps) {
    const double seconds = s["seconds"], predicted = s["predicted_seconds"], bytes = s["predicted_peak_bytes"];
    out += fmt::format(
        "<tr><td>{}</td><td>{}x{}x{}</td><td>{}</td><td class=\"bars\">{}{}</td><td>{:.2f} s / {:.2f} s</td>"
        "<td class=\"bars\">{}</td><td>{}</td></tr>\n",
        client::escape_html(s["name"].get<std::string>()), s["output"][0].get<int>(), s["output"][1].get<int>(),
        s["output"][2].get<int>(), s["limbs"].get<int>(), bar(seconds, most_seconds, "measured"),
        bar(predicted, most_seconds, "predicted"), seconds, predicted, bar(bytes, most_bytes, "predicted"),
        format_bytes(bytes));
  }
  return out + "</table>\n";
}

}  // namespace

void write_html_report(const std::filesystem::path& path, const nlohmann::json& r,
                       const std::vector<client::Image>& images, const client::Scores& scores,
                       const plan::Interface& io) {
  const std::string title = "Sotto: " + r["network"].get<std::string>() + " on encrypted images";
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n<style>\n"
      "body{{font:14px system-ui,sans-serif;background:#fafaf8;color:#222;margin:24px auto;max-width:1100px}}\n"
      "table{{border-collapse:collapse;margin-bottom:24px}}th{{text-align:left;font-weight:600;padding:3px 18px 3px "
      "0}}td{{padding:3px 12px 3px 0}}\n"
      ".layers td,.layers th{{border-top:1px solid #ddd}}.bars{{width:260px}}\n"
      ".bar{{height:7px;margin:2px "
      "0;border-radius:2px}}.measured{{background:#2166ac}}.predicted{{background:#b8c4d0}}\n"
      "main{{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:14px}}figure{{margin:0}}\n"
      "img{{width:96px;height:96px;image-rendering:pixelated;display:block}}.right{{color:#14783c}}.wrong{{color:#"
      "be281e}}\n"
      "</style></head>\n<body><h1>{0}</h1>\n<table>\n",
      client::escape_html(title));
  page += row("images", std::to_string(r["images"].get<std::size_t>()));
  page += row("accuracy, encrypted", percent(r["accuracy"]));
  page += row("accuracy, float model", percent(r["plain_accuracy"]));
  page += row("labels that agree", percent(r["label_agreement"]));
  page += row("largest error of a score", fmt::format("{:.2e}", r["max_abs_logit_error"].get<double>()));
  page += row("time per image", fmt::format("{:.4f} s ({} for all)", r["amortized_seconds_per_image"].get<double>(),
                                            format_seconds(r["wall_seconds"].get<double>())));
  page += row("peak memory of inference", format_bytes(r["peak_rss_bytes"].get<double>()) + ", predicted " +
                                              format_bytes(r["predicted_peak_bytes"].get<double>()));
  page += row("evaluation keys", format_bytes(r["eval_key_bytes"].get<double>()));
  page += row("encrypted input / output",
              format_bytes(r["input_bytes"].get<double>()) + " / " + format_bytes(r["output_bytes"].get<double>()));
  page += row("ring, log2(QP), security", fmt::format("{}, {:.0f}, {} bits", r["ring_dimension"].get<std::uint64_t>(),
                                                      r["log2_qp"].get<double>(), r["security_bits"].get<int>()));
  page += row("batch, packing", fmt::format("{} images, tiles of {}x{} pixels", r["batch"].get<int>(),
                                            r["tile"].get<int>(), r["tile"].get<int>()));
  page += row("threads, kernels", fmt::format("{}, {}", r["threads"].get<int>(), r["cpu_kernels"].get<std::string>()));
  page += "</table>\n<h2>Layers</h2>\n" + layer_table(r["steps"]) + "<h2>Images</h2>\n<main>\n";
  for (std::size_t i = 0; i < std::min(images.size(), kMostImages); ++i) {
    const int label = client::argmax(scores[i]);
    const bool wrong = images[i].label >= 0 && images[i].label != label;
    page +=
        fmt::format("<figure><img alt=\"\" src=\"{}\"><figcaption class=\"{}\">{} {:.0f}%{}</figcaption></figure>\n",
                    client::data_uri(client::png_of(images[i], 1)),
                    wrong                  ? "wrong"
                    : images[i].label >= 0 ? "right"
                                           : "",
                    client::escape_html(client::class_name(io, label)), 100 * client::confidence(scores[i], label),
                    wrong ? "<br>is " + client::escape_html(client::class_name(io, images[i].label)) : "");
  }
  wire::write_file(path, page + "</main></body></html>\n");
}

}  // namespace sotto::cli
