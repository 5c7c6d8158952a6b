#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "client/doubt.h"
#include "images/image_source.h"

namespace sotto::client {

using Scores = std::vector<std::vector<double>>;  ///< [image][class]

/// Index of the largest score; the first of equals. -1 if one is not a number: the image has no label.
int argmax(const std::vector<double>& scores);

/// exp(score) / sum of them all, for class `c`: how sure the network is of it.
double confidence(const std::vector<double>& scores, int c);

/// Name of class c, or its number if the network names none; empty for -1.
std::string class_name(const plan::Interface& io, int c);

/// A text as a field of a CSV file: readable_text, as tables are shown on terminals, too; quoted where it has to be,
/// and never a formula for programs that show tables.
std::string csv_field(const std::string& name);

/// NumPy format 1.0, float64, shape (images, classes).
void write_npy(const std::filesystem::path& path, const Scores& scores);

/// One line per image: index, name, predicted label and class, confidence, score (these four empty without a label),
/// true class if known, why it is doubtful. RFC 4180. `images` may be empty.
void write_csv(const std::filesystem::path& path, const Scores& scores, const std::vector<Doubt>& doubts,
               const std::vector<images::Image>& images, const plan::Interface& io);

}  // namespace sotto::client
