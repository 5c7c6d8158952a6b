#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "client/scores.h"

namespace sotto::cli {

/// One self-contained page without scripts: the figures of `report` (the JSON of `sotto evaluate`), time and memory per
/// layer, predicted against measured, the packing, labels and scores against those of the float model (`plain`), and
/// the first images with their labels. Figures that are missing or null show as unknown.
void write_html_report(const std::filesystem::path& path, const nlohmann::json& report,
                       const std::vector<images::Image>& images, const client::Scores& scores,
                       const client::Scores& plain, const std::vector<Doubt>& doubts, const plan::Interface& io);

}  // namespace sotto::cli
