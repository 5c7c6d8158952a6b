#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "client/scores.h"

namespace sotto::cli {

/// One self-contained page: the figures of `report` (the JSON of `sotto evaluate`), time and memory per layer,
/// predicted against measured, and the first images with their labels.
void write_html_report(const std::filesystem::path& path, const nlohmann::json& report,
                       const std::vector<client::Image>& images, const client::Scores& scores,
                       const plan::Interface& io);

}  // namespace sotto::cli
