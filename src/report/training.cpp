#include "report/training.h"
namespace sotto::report {
nlohmann::json to_json(const Training& t) {
  nlohmann::json j;
  for (auto& s : t.steps) { j["loss"].push_back(s.loss.value_or(0)); j["float_loss"].push_back(s.float_loss); j["acc"].push_back(s.accuracy.value_or(0)); j["facc"].push_back(s.float_accuracy.value_or(0)); j["werr"].push_back(s.weight_relative_error.value_or(0)); j["sec"].push_back(s.seconds); }
  j["kinds"] = t.seconds_by_kind; j["sps"] = t.seconds_per_step; j["peak"] = t.peak_rss_bytes; j["pred"] = t.predicted_peak_bytes;
  return j;
}
std::string training_page(const Training&) { return ""; }
}
