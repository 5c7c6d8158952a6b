#pragma once

#include <filesystem>
#include <vector>

#include "client/scores.h"

namespace sotto::client {

/// A picture of every image with its predicted class and confidence, true class below when it differs, and a frame and
/// a word if it is doubtful. The file name's ending decides: .png is one picture (the first `kMostOnSheet` images,
/// fewer if they are large), .html a page that needs no other file. Throws Error{usage} for another ending.
void write_sheet(const std::filesystem::path& path, const std::vector<images::Image>& images, const Scores& scores,
                 const std::vector<Doubt>& doubts, const plan::Interface& io, const std::string& title);

/// Throws Error{usage} unless the name is empty or one that write_sheet takes.
void require_sheet_name(const std::string& name);

inline constexpr std::size_t kMostOnSheet = 400;

/// A PNG of one image, `zoom` pixels to a pixel.
std::vector<unsigned char> png_of(const images::Image& image, int zoom);

/// `bytes` as a data URI for HTML pages.
std::string data_uri(const std::vector<unsigned char>& bytes);

/// Text with <, >, & and quotes made harmless.
std::string escape_html(const std::string& text);

}  // namespace sotto::client
