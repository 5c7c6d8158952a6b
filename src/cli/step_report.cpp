#include "cli/step_report.h"

#include <array>

#include "base/memory.h"
#include "wire/atomic_file.h"
#include "wire/outputs.h"

namespace sotto::cli {

void StepReport::add_option(CLI::App& verb) {
  verb.add_option("--json", path_, "Write what it took here: seconds and bytes (JSON; - for the standard output)");
}

void StepReport::start() {
  wire::require_outputs({}, std::array{path_});
  start_ = lap_ = Clock::now();
}

bool StepReport::streamed() const { return !path_.empty() && wire::is_standard_output(path_); }

void StepReport::add_bytes(const std::string& name, const std::filesystem::path& file) {
  add(name, std::filesystem::file_size(file));
}

void StepReport::add_lap(const std::string& name) {
  const Clock::time_point now = Clock::now();
  add(name, std::chrono::duration<double>(now - lap_).count());
  lap_ = now;
}

void StepReport::write() {
  if (path_.empty()) return;
  add("seconds", std::chrono::duration<double>(Clock::now() - start_).count());
  add("peak_rss_bytes", peak_memory());
  wire::write_file(path_, report_.dump(2) + "\n");
}

}  // namespace sotto::cli
