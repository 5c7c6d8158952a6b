#include "client/sheet.h"

#include <fmt/format.h>
#include <sodium.h>
#include <stb_easy_font.h>
#include <stb_image_write.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "wire/atomic_file.h"

namespace sotto::client {

namespace {

using Colour = std::array<std::uint8_t, 3>;

constexpr Colour kPaper{250, 250, 248}, kInk{30, 30, 30}, kRight{20, 120, 60}, kWrong{190, 40, 30}, kDoubt{220, 130, 0};

struct Canvas {
  int width, height;
  std::vector<std::uint8_t> rgb;

  Canvas(int w, int h) : width(w), height(h), rgb(static_cast<std::size_t>(w) * h * 3) {
    for (std::size_t p = 0; p < rgb.size(); ++p) rgb[p] = kPaper[p % 3];
  }

  void fill(int x0, int y0, int x1, int y1, const Colour& colour) {
    for (int y = std::max(y0, 0); y < std::min(y1, height); ++y)
      for (int x = std::max(x0, 0); x < std::min(x1, width); ++x)
        std::copy(colour.begin(), colour.end(), &rgb[(static_cast<std::size_t>(y) * width + x) * 3]);
  }

  // Text as filled rectangles; stb_easy_font gives quads of four corners of 16 bytes each.
  // The font has the printable characters of ASCII; a question mark stands for any other.
  void text(int x, int y, std::string s, const Colour& colour) {
    for (char& c : s)
      if (c < 32 || c > 126) c = '?';
    std::vector<float> quads(300 * s.size() + 64);
    const int count =
        stb_easy_font_print(0, 0, s.data(), nullptr, quads.data(), static_cast<int>(quads.size() * sizeof(float)));
    for (int q = 0; q < count; ++q) {
      const float *a = &quads[static_cast<std::size_t>(q) * 16], *c = a + 8;
      fill(x + static_cast<int>(a[0]), y + static_cast<int>(a[1]), x + static_cast<int>(c[0]),
           y + static_cast<int>(c[1]), colour);
    }
  }

  void picture(int x0, int y0, const images::Image& image, int zoom) {
    const std::size_t plane = static_cast<std::size_t>(image.width) * image.height;
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) {
        Colour colour;
        for (int c = 0; c < 3; ++c)
          colour[c] =
              image.pixels[(image.channels == 3 ? c : 0) * plane + static_cast<std::size_t>(y) * image.width + x];
        fill(x0 + x * zoom, y0 + y * zoom, x0 + (x + 1) * zoom, y0 + (y + 1) * zoom, colour);
      }
  }

  [[nodiscard]] std::vector<unsigned char> png() const {
    std::vector<unsigned char> bytes;
    const auto append = [](void* context, void* data, int size) {
      auto* out = static_cast<std::vector<unsigned char>*>(context);
      out->insert(out->end(), static_cast<unsigned char*>(data), static_cast<unsigned char*>(data) + size);
    };
    check(stbi_write_png_to_func(append, &bytes, width, height, 3, rgb.data(), width * 3) != 0, "PNG encoding failed");
    return bytes;
  }
};

constexpr double kMostPixels = 1e8;  // of a sheet: the encoder counts bytes in an int

struct Caption {
  std::string first, second;
  bool wrong = false;
};

Caption caption_of(const images::Image& image, const std::vector<double>& scores, const plan::Interface& io) {
  const int label = argmax(scores);
  Caption caption{"no result", "", false};
  if (label >= 0) caption.first = fmt::format("{} {:.0f}%", class_name(io, label), 100 * confidence(scores, label));
  caption.wrong = image.label >= 0 && image.label != label;
  if (caption.wrong) caption.second = "is " + class_name(io, image.label);
  return caption;
}

void write_png(const std::filesystem::path& path, const std::vector<images::Image>& images, const Scores& scores,
               const std::vector<Doubt>& doubts, const plan::Interface& io, const std::string& title) {
  const int zoom = std::max(1, 96 / std::max(images.front().width, images.front().height));
  const double cell = (images.front().width * zoom + 108.0) * (images.front().height * zoom + 36.0);
  const std::size_t count =
      std::min({images.size(), kMostOnSheet, std::max<std::size_t>(1, static_cast<std::size_t>(kMostPixels / cell))});
  const int columns = std::clamp(static_cast<int>(std::ceil(std::sqrt(1.6 * static_cast<double>(count)))), 1, 20);
  const int rows = (static_cast<int>(count) + columns - 1) / columns;
  const int cell_w = std::max(images.front().width * zoom, 96) + 12, cell_h = images.front().height * zoom + 36,
            top = 24;
  Canvas canvas(std::max(columns * cell_w + 12, 320), rows * cell_h + top + 12);
  canvas.text(12, 8, title, kInk);
  for (std::size_t i = 0; i < count; ++i) {
    const int x = 12 + static_cast<int>(i) % columns * cell_w, y = top + static_cast<int>(i) / columns * cell_h;
    const Caption caption = caption_of(images[i], scores[i], io);
    const bool doubt = doubts[i] != Doubt::none;
    if (doubt) canvas.fill(x - 3, y - 3, x + images[i].width * zoom + 3, y + images[i].height * zoom + 3, kDoubt);
    canvas.picture(x, y, images[i], zoom);
    canvas.text(x, y + images[i].height * zoom + 4, caption.first,
                caption.wrong          ? kWrong
                : images[i].label >= 0 ? kRight
                                       : kInk);
    canvas.text(x, y + images[i].height * zoom + 16, doubt ? "doubtful " + caption.second : caption.second,
                doubt ? kDoubt : kWrong);
  }
  const auto bytes = canvas.png();
  wire::write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string doubt_html(Doubt doubt) {
  return doubt == Doubt::none ? "" : "<div class=\"doubt\">doubtful: " + text_of(doubt) + "</div>";
}

void write_html(const std::filesystem::path& path, const std::vector<images::Image>& images, const Scores& scores,
                const std::vector<Doubt>& doubts, const plan::Interface& io, const std::string& title) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n<style>\n"
      "body{{font:14px system-ui,sans-serif;background:#fafaf8;color:#222;margin:24px}}\n"
      "main{{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:14px}}\n"
      "figure{{margin:0}}img{{width:96px;height:96px;image-rendering:pixelated;display:block}}\n"
      ".right{{color:#14783c}}.wrong{{color:#be281e}}.doubt{{color:#a05a00}}\n"
      "figure:has(.doubt) img{{outline:3px solid #dc8200}}\n</style></head>\n<body><h1>{0}</h1>\n<main>\n",
      escape_html(title));
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Caption caption = caption_of(images[i], scores[i], io);
    page +=
        fmt::format("<figure><img alt=\"{}\" src=\"{}\"><figcaption class=\"{}\">{}<br>{}{}</figcaption></figure>\n",
                    escape_html(images[i].name), data_uri(png_of(images[i], 1)),
                    caption.wrong          ? "wrong"
                    : images[i].label >= 0 ? "right"
                                           : "",
                    escape_html(caption.first), escape_html(caption.second), doubt_html(doubts[i]));
  }
  wire::write_file(path, page + "</main></body></html>\n");
}

}  // namespace

void write_sheet(const std::filesystem::path& path, const std::vector<images::Image>& images, const Scores& scores,
                 const std::vector<Doubt>& doubts, const plan::Interface& io, const std::string& title) {
  check(!images.empty() && images.size() == scores.size() && images.size() == doubts.size(),
        "a sheet needs one row of scores per image");
  if (path.extension() == ".png") return write_png(path, images, scores, doubts, io, title);
  if (path.extension() == ".html") return write_html(path, images, scores, doubts, io, title);
  require_sheet_name(path.string());
}

void require_sheet_name(const std::string& name) {
  const auto ending = std::filesystem::path(name).extension();
  if (!name.empty() && ending != ".png" && ending != ".html")
    throw Error(ErrorCode::usage, "--sheet takes a file name that ends in .png or .html");
}

std::vector<unsigned char> png_of(const images::Image& image, int zoom) {
  Canvas canvas(image.width * zoom, image.height * zoom);
  canvas.picture(0, 0, image, zoom);
  return canvas.png();
}

std::string data_uri(const std::vector<unsigned char>& bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();
  return "data:image/png;base64," + text;
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace sotto::client
