#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sotto/io.h"

namespace sotto {

namespace plan {
struct ClientSpec;
}

/// Bits of security that the parameters of a plan keep to, by published tables (SECURITY.md).
enum class Security {
  classical128,  ///< 128 bits against classical attacks
  classical192,  ///< 192 bits against classical attacks; nothing is bootstrapped
  quantum128,    ///< 128 bits against quantum computers, too; nothing is bootstrapped
};

/// The public part of a plan (NAME.client): what an owner of images needs to make keys, encrypt and decrypt. It holds
/// no weights. Cheap to copy.
class ClientSpec {
 public:
  /// Throws Error{bad_input} for what is damaged, impossible or of another version.
  static ClientSpec read(const Source& source);
  /// To a file, memory or a stream; `sink` may throw. Throws Error{usage} for what TrainingPlan::client_spec gave: see
  /// TrainingPlan::write_client.
  void write(const Sink& sink) const;

  [[nodiscard]] std::string network() const;  ///< name of the model's file
  [[nodiscard]] std::string plan_id() const;  ///< names the plan in all files that belong to it
  [[nodiscard]] int batch() const;            ///< images that one run of the server holds
  [[nodiscard]] int channels() const;         ///< of an image; for a flat network its features
  [[nodiscard]] int height() const;           ///< rows of an image; 1 for a flat network
  [[nodiscard]] int width() const;            ///< columns of an image; 1 for a flat network
  [[nodiscard]] int scores() const;           ///< of an image
  [[nodiscard]] Security security() const;    ///< of keys and images under it
  /// Verification key, 64 hexadecimal digits, of whoever must sign results of the plan: others are refused by
  /// decryption. Empty: nobody must.
  [[nodiscard]] std::string signer() const;
  /// Names of the classes, one for each score; empty if the model has none.
  [[nodiscard]] std::vector<std::string> classes() const;
  /// Of pixels, by channel, in units of pixel / 255.
  [[nodiscard]] std::vector<double> mean() const;
  /// Of pixels, by channel, in units of pixel / 255; above 0.
  [[nodiscard]] std::vector<double> standard_deviation() const;

  /// For the library itself.
  explicit ClientSpec(plan::ClientSpec spec);
  /// For the library itself.
  [[nodiscard]] const plan::ClientSpec& internal() const { return *spec_; }

 private:
  std::shared_ptr<const plan::ClientSpec> spec_;
};

}  // namespace sotto
