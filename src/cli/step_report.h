#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace sotto::cli {

/// What a verb took, for programs: a JSON object with at least `seconds` (wall time) and `peak_rss_bytes`.
class StepReport {
 public:
  /// Adds --json, which names the file ("-": standard output).
  void add_option(CLI::App& verb);
  /// Before the work: starts the clock. Throws Error{bad_input} unless the file can be written.
  void start();
  /// As it was given; may be empty.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Whether the standard output is taken by the report.
  [[nodiscard]] bool streamed() const;

  /// A member: any number, text or list.
  template <class T>
  void add(const std::string& name, const T& value) {
    report_[name] = value;
  }
  /// The size of a file.
  void add_bytes(const std::string& name, const std::filesystem::path& file);
  /// Seconds since the start or the lap before.
  void add_lap(const std::string& name);

  /// Writes the file, if one was asked for.
  void write();

 private:
  using Clock = std::chrono::steady_clock;

  std::string path_;
  nlohmann::json report_ = nlohmann::json::object();  // making one of nothing is not safe where memory runs out
  Clock::time_point start_, lap_;
};

}  // namespace sotto::cli
