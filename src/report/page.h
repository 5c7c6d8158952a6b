#pragma once

#include <filesystem>

#include "client/scores.h"
#include "report/evaluation.h"

namespace sotto::report {

/// One self-contained page without scripts: the figures of an evaluation, time and memory per layer, predicted against
/// measured, the packing, labels and scores against those of the float model (`plain`), and the first images with their
/// labels.
void write_page(const std::filesystem::path& path, const Evaluation& evaluation,
                const std::vector<images::Image>& images, const client::Scores& scores, const client::Scores& plain,
                const std::vector<Doubt>& doubts, const plan::Interface& io);

}  // namespace sotto::report
