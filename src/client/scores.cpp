#include "client/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/text.h"
#include "wire/atomic_file.h"

namespace sotto::client {

int argmax(const std::vector<double>& scores) {
  if (std::any_of(scores.begin(), scores.end(), [](double s) { return std::isnan(s); })) return -1;
  return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

double confidence(const std::vector<double>& scores, int c) {
  const double top = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double s : scores) sum += std::exp(s - top);
  return std::exp(scores[static_cast<std::size_t>(c)] - top) / sum;
}

std::string class_name(const plan::Interface& io, int c) {
  if (c < 0) return "";
  const auto i = static_cast<std::size_t>(c);
  return i < io.classes.size() ? io.classes[i] : std::to_string(c);
}

void write_npy(const std::filesystem::path& path, const Scores& scores) {
  const std::size_t columns = scores.empty() ? 0 : scores.front().size();
  std::string dictionary =
      fmt::format("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}", scores.size(), columns);
  // Magic, version and length take 10 bytes; the data begin at a multiple of 64.
  while ((10 + dictionary.size() + 1) % 64 != 0) dictionary += ' ';
  dictionary += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(dictionary.size() & 0xff);
  bytes += static_cast<char>(dictionary.size() >> 8);
  bytes += dictionary;
  for (const auto& row : scores) bytes.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(double));
  wire::write_file(path, bytes);
}

namespace {

// Programs that show tables take a cell that begins so for a formula; behind an apostrophe it is a text for them.
bool starts_formula(const std::string& text) {
  return !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
}

}  // namespace

std::string csv_field(const std::string& name) {
  const std::string text = readable_text(starts_formula(name) ? "'" + name : name);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

void write_csv(const std::filesystem::path& path, const Scores& scores, const std::vector<Doubt>& doubts,
               const std::vector<images::Image>& images, const plan::Interface& io) {
  std::string out = "index,name,label,class,confidence,score,true_label,true_class,doubtful\n";
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const int label = argmax(scores[i]);
    const int truth = i < images.size() ? images[i].label : -1;
    const std::string found =
        label < 0 ? ",,,"
                  : fmt::format("{},{},{:.4f},{:.6f}", label, csv_field(class_name(io, label)),
                                confidence(scores[i], label), scores[i][static_cast<std::size_t>(label)]);
    out += fmt::format("{},{},{},{},{},{}\n", i, i < images.size() ? csv_field(images[i].name) : "", found,
                       truth >= 0 ? std::to_string(truth) : "", csv_field(class_name(io, truth)),
                       csv_field(text_of(doubts[i])));
  }
  wire::write_file(path, out);
}

}  // namespace sotto::client
