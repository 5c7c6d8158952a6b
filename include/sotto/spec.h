#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sotto/io.h"

namespace sotto {

namespace plan {
struct ClientSpec;
}

/// The public part of a plan (NAME.client): what an owner of images needs to make keys, encrypt and decrypt. It holds
/// no weights. Cheap to copy.
class ClientSpec {
 public:
  /// Throws Error{bad_input} for a damaged or impossible one, Error{no_resources} for parameters below 128 bits.
  static ClientSpec read(const Source& source);
  void write(const Sink& sink) const;

  [[nodiscard]] std::string network() const;  ///< name of the model's file
  [[nodiscard]] std::string plan_id() const;  ///< names the plan in all files that belong to it
  [[nodiscard]] int batch() const;            ///< images that one run of the server holds
  [[nodiscard]] int channels() const;
  [[nodiscard]] int height() const;
  [[nodiscard]] int width() const;
  [[nodiscard]] int scores() const;                        ///< of an image
  [[nodiscard]] std::vector<std::string> classes() const;  ///< names; empty if the model has none
  [[nodiscard]] std::vector<double> mean() const;          ///< by channel, in units of pixel / 255
  [[nodiscard]] std::vector<double> standard_deviation() const;

  /// For the library itself.
  explicit ClientSpec(plan::ClientSpec spec);
  [[nodiscard]] const plan::ClientSpec& internal() const { return *spec_; }

 private:
  std::shared_ptr<const plan::ClientSpec> spec_;
};

}  // namespace sotto
